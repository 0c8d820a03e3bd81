//! Releases from the order to the announcement, and what happens when they fail.

use crate::stage::{Stage, shop};
use toft_model::Generation;
use toft_model::event::What;
use toft_model::instance::{End, Running};
use toft_model::message::ServerToKeeper;
use toft_model::table::Verdict;

fn serving(what: &What) -> Option<u64> {
    match what {
        What::Serving { release } => Some(*release),
        _ => None,
    }
}

#[tokio::test]
async fn a_release_is_announced_once_edge_serves_it_and_the_old_one_leaves_after_it_drained() {
    let mut stage = Stage::new().await;
    stage.client.release(&shop(1)).await.unwrap();
    let first = stage.start_next();
    assert_eq!(first.env, [("TOFT_INSTANCE".into(), "web.0".into())]);
    stage.table(); // the route, with nobody behind it yet
    stage.probe_finds(&first.id, Verdict::Ready);
    assert_eq!(stage.table().upstreams[0].ready[0].instance, first.id);
    assert_eq!(stage.event(serving).await, 1);

    stage.client.release(&shop(1)).await.unwrap();
    let second = stage.start_next();
    assert_eq!(second.id.generation.0, 2);
    stage.probe_finds(&second.id, Verdict::Ready);
    let ready: Vec<_> = stage
        .table()
        .upstreams
        .remove(0)
        .ready
        .into_iter()
        .map(|b| b.instance)
        .collect();
    assert_eq!(ready, std::slice::from_ref(&second.id));
    assert_eq!(stage.event(serving).await, 2);
    stage.drained(&first.id);
    assert_eq!(stage.order(), ServerToKeeper::Stop(first.id.clone()));
    stage.exited(&first.id, End::Code(0), true);
    stage
        .event(|what| matches!(what, What::Exited { .. }).then_some(()))
        .await;
    let status = stage.client.status().await.unwrap();
    assert_eq!(status.apps[0].release, Some(2));
    assert_eq!(status.apps[0].instances.len(), 1);
}

#[tokio::test]
async fn a_new_server_lets_the_old_ones_serve_until_its_own_do() {
    let mut old = shop(1).processes.remove(0).template.id;
    old.generation = Generation(4);
    let running = Running {
        id: old.clone(),
        pid: 7,
        start_time: 1,
        budgets: vec![],
    };
    let mut stage = Stage::after(vec![running], 9).await;
    stage.client.release(&shop(1)).await.unwrap();
    let first = stage.start_next();
    assert_eq!(first.id.generation.0, 10);
    stage.probe_finds(&first.id, Verdict::Ready);
    // The first table that edge hears of has somebody in it.
    assert_eq!(stage.table().upstreams[0].ready[0].instance, first.id);
    assert_eq!(stage.event(serving).await, 1);
    assert_eq!(stage.order(), ServerToKeeper::Stop(old));
}

#[tokio::test]
async fn a_failed_release_is_given_up_and_the_good_one_is_what_comes_back() {
    let mut stage = Stage::new().await;
    stage.client.release(&shop(1)).await.unwrap();
    let good = stage.start_next();
    stage.table();
    stage.probe_finds(&good.id, Verdict::Ready);
    stage.table();
    stage.event(serving).await;

    let mut bad = shop(1);
    bad.processes[0].template.argv = vec!["/app/broken".into()];
    stage.client.release(&bad).await.unwrap();
    let broken = stage.start_next();
    assert_eq!(broken.argv, ["/app/broken"]);
    stage.exited(&broken.id, End::Code(3), false);
    let keeps = stage
        .event(|what| match what {
            What::GivenUp { keeps, reason, .. } => Some((*keeps, reason.clone())),
            _ => None,
        })
        .await;
    assert_eq!(keeps, (Some(1), "web.0 ended with exit code 3".to_owned()));

    stage.exited(&good.id, End::Signal(9), false);
    let again = stage.start_next();
    assert_eq!(again.argv, ["/app/shop"]);
    assert!(again.id.generation > broken.id.generation);
}

#[tokio::test]
async fn a_run_tells_its_end_and_can_be_ended() {
    let mut stage = Stage::new().await;
    let mut spec = shop(1).processes.remove(0).template;
    spec.id.process = "build".parse().unwrap();
    let run = stage
        .client
        .run(&toft_api::RunOrder { spec })
        .await
        .unwrap();
    let started = stage.start_next();
    assert_eq!(started.id, run.instance);
    stage.client.end_run(&run.instance).await.unwrap();
    assert_eq!(stage.order(), ServerToKeeper::Kill(run.instance.clone()));
    stage.exited(&run.instance, End::Signal(9), true);
    let id = stage
        .event(|what| match what {
            What::RunEnded { instance, .. } => Some(instance.clone()),
            _ => None,
        })
        .await;
    assert_eq!(id, run.instance);
    assert!(stage.client.end_run(&run.instance).await.is_err());
}

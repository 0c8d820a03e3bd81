//! HTTP through edge, over real sockets.

use crate::app::{App, next_request, say, silent_port};
use crate::client::Client;
use crate::world::{PATIENCE, World, instance, table, upstream_id, wait_until};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use toft_model::table::{Backend, HostMatch, Route, Table, Upstream};

/// One app behind one serving thread.
pub(crate) fn world_of(app: &App) -> World {
    let mut world = World::start(1);
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    world
}

#[test]
fn a_request_reaches_the_app_and_the_answer_comes_back() {
    let mut world = World::start(2);
    let app = App::http(|seen, stream| say(stream, &seen.head));
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut client = Client::connect(world.address);
    let answer = client.get("/hello?x=1");
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(answer.text().replace("\r\n", "\n"), @r"
    GET /hello?x=1 HTTP/1.1
    Host: shop.test
    X-Forwarded-For: 127.0.0.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: shop.test
    ");
    for n in 0..50 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    // On a machine that is very busy the first connection may be begun twice.
    assert!(app.connections.load(Ordering::SeqCst) <= 3);
}

#[test]
fn bodies_go_both_ways() {
    let app = App::http(|seen, stream| {
        let length = seen.body.len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&seen.body);
        stream.write_all(&answer).is_ok()
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for size in [0, 1, 1000, 200_000, 3_000_000] {
        let body = "x".repeat(size);
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}"
        ));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.len()), (200, size));
    }
}

#[test]
fn chunks_go_both_ways() {
    let app = App::http(|seen, stream| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend_from_slice(&seen.body);
        stream.write_all(&answer).is_ok()
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for count in [0, 1, 3, 2000] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..count {
            client.send("6;x=y\r\nhello!\r\n");
        }
        client.send("0\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.text(), "hello!".repeat(count));
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_several_at_once() {
    let app = App::http(|seen, stream| say(stream, seen.path()));
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for byte in "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n".chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.answer().text(), "/slow");
    let many: String = (0..100)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    client.send(&many);
    for n in 0..100 {
        assert_eq!(client.answer().text(), format!("/{n}"));
    }
}

#[test]
fn an_old_client_is_served_and_its_connection_ends() {
    let app = App::http(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        );
        true
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().text(), "hi");
    assert!(client.is_ended());
}

#[test]
fn an_answer_without_length_keeps_the_client() {
    let app = App::http(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end");
        false
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "until the end");
    }
    // The sockets are used again: a few serve them all.
    assert!(world.keeper.has.lock().unwrap().made <= 8);
}

#[test]
fn an_app_that_closes_behind_each_answer_is_served_by_a_few_sockets() {
    let app = App::http(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        false
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for _ in 0..300 {
        assert_eq!(client.get("/").text(), "hi");
    }
    assert!(world.keeper.has.lock().unwrap().made <= 16);
}

#[test]
fn head_has_no_body_and_the_next_answer_is_its_own() {
    let app = App::http(|seen, stream| {
        if seen.head.starts_with("HEAD") {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                .is_ok()
        } else {
            say(stream, "hello")
        }
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut text = vec![0; "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".len()];
    client.stream.read_exact(&mut text).unwrap();
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn a_client_that_waits_gets_its_go_ahead_from_the_app() {
    let app = App::raw(|mut stream| {
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while crate::app::find(&read, b"\r\n\r\n").is_none() {
            let length = stream.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..length]);
        }
        assert!(crate::app::find(&read, b"Expect: 100-continue").is_some());
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let seen = next_request(&mut stream, &mut read).unwrap();
        say(&mut stream, &String::from_utf8(seen.body).unwrap());
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    client.send("abc");
    assert_eq!(client.answer().text(), "abc");
}

#[test]
fn what_is_not_understood_is_refused_with_words() {
    let app = App::named("a");
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.field("x-toft-cause"), Some("bad-request"));
    assert_eq!(
        answer.text(),
        "400 Bad Request\nthere is more than one Host field\n"
    );
    assert!(client.is_ended());
    assert_eq!(app.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_bad_chunk_ends_both_connections() {
    let (told, ended) = mpsc::channel();
    let told = Mutex::new(told);
    let app = App::raw(move |mut stream| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        told.lock().unwrap().send(all).unwrap();
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    wait_until(|| app.connections.load(Ordering::SeqCst) == 1);
    client.send("5\nhello\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    assert!(client.is_ended());
    let seen = ended.recv_timeout(PATIENCE).unwrap();
    assert!(
        seen.ends_with(b"\r\n\r\n2\r\nhi\r\n"),
        "{:?}",
        String::from_utf8_lossy(&seen)
    );
}

#[test]
fn names_lead_to_their_apps() {
    let mut world = World::start(1);
    let (shop, blog) = (App::named("shop"), App::named("blog"));
    world.admit(&instance(0, 1));
    world.admit(&instance(1, 1));
    let upstream = |app: &str, index, port| Upstream {
        id: upstream_id(app),
        ready: vec![Backend {
            instance: instance(index, 1),
            port,
        }],
    };
    let route = |host: &str, path: &str, app: &str| Route {
        host: HostMatch::Exact(host.to_owned()),
        path: path.to_owned(),
        to: upstream_id(app),
    };
    world.publish(Table {
        revision: 1,
        routes: vec![
            route("shop.localhost", "", "shop"),
            route("shop.localhost", "/blog", "blog"),
            route("secret.example.com", "", "blog"),
        ],
        upstreams: vec![
            upstream("shop", 0, shop.port),
            upstream("blog", 1, blog.port),
        ],
    });
    let mut client = Client::connect(world.address);
    let mut ask = |host: &str, path: &str| {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer()
    };
    assert_eq!(ask("shop.localhost", "/").text(), "shop");
    assert_eq!(ask("SHOP.localhost.:8080", "/blogs").text(), "shop");
    assert_eq!(ask("shop.localhost", "/blog/1").text(), "blog");
    assert_eq!(ask("secret.example.com", "/").text(), "blog");
    let lost = ask("other.localhost", "/");
    assert_eq!(
        (lost.status, lost.field("x-toft-cause")),
        (404, Some("no-route"))
    );
    insta::assert_snapshot!(lost.text(), @r"
    404 Not Found
    no app answers to `other.localhost` here; these do: shop.localhost
    ");
    // The connection goes on after an answer of the router's own.
    assert_eq!(ask("shop.localhost", "/").text(), "shop");
}

#[test]
fn requests_take_turns_over_the_instances() {
    let mut world = World::start(1);
    let apps: Vec<App> = (0..3).map(|n| App::named(&n.to_string())).collect();
    let ready: Vec<_> = (0..3)
        .map(|n| (instance(n, 1), apps[n as usize].port))
        .collect();
    ready.iter().for_each(|(instance, _)| world.admit(instance));
    world.publish(table(1, &ready));
    let mut client = Client::connect(world.address);
    let said: String = (0..6).map(|_| client.get("/").text()).collect();
    assert_eq!(said, "012012");
}

#[test]
fn an_app_that_refuses_is_passed_over() {
    let mut world = World::start(1);
    let app = App::named("alive");
    let (_socket, dead) = silent_port();
    world.admit(&instance(0, 1));
    world.admit(&instance(1, 1));
    world.publish(table(
        1,
        &[(instance(0, 1), dead), (instance(1, 1), app.port)],
    ));
    let mut client = Client::connect(world.address);
    for _ in 0..10 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.answer().text(), "alive");
    }
    world.publish(table(2, &[(instance(0, 1), dead)]));
    let answer = client.get("/");
    assert_eq!(
        (answer.status, answer.field("x-toft-cause")),
        (502, Some("connection-refused"))
    );
    world.publish(table(3, &[]));
    let answer = client.get("/");
    assert_eq!(
        (answer.status, answer.field("x-toft-cause")),
        (503, Some("no-instance"))
    );
}

#[test]
fn an_instance_of_a_dead_generation_is_passed_over() {
    let mut world = World::start(1);
    let app = App::named("alive");
    world.admit(&instance(1, 2));
    world.publish(table(
        1,
        &[(instance(0, 1), app.port), (instance(1, 2), app.port)],
    ));
    let mut client = Client::connect(world.address);
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "alive");
    }
    world.publish(table(2, &[(instance(0, 1), app.port)]));
    let answer = client.get("/");
    assert_eq!(
        (answer.status, answer.field("x-toft-cause")),
        (503, Some("no-socket"))
    );
}

/// Closes each connection after so many requests, without a word.
fn tired_app(after: usize) -> App {
    App::raw(move |mut stream| {
        let mut read = Vec::new();
        for _ in 0..after {
            if next_request(&mut stream, &mut read).is_none() {
                return;
            }
            say(&mut stream, "x");
        }
    })
}

#[test]
fn a_connection_that_ended_while_it_rested_costs_no_request() {
    let app = tired_app(1);
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    for _ in 0..300 {
        assert_eq!(client.get("/").text(), "x");
        client.send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().text(), "x");
    }
}

#[test]
fn a_request_that_cannot_be_repeated_is_sent_once() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let app = App::raw(move |mut stream| {
        if next_request(&mut stream, &mut Vec::new()).is_some() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.field("x-toft-cause")),
        (502, Some("closed-early"))
    );
    assert_eq!(count.swap(0, Ordering::SeqCst), 1);
    // A GET is sent once more, to whatever else there is.
    assert_eq!(client.get("/").status, 502);
    assert!(count.load(Ordering::SeqCst) <= 2);
}

#[test]
fn an_answer_that_is_no_http_is_a_bad_gateway() {
    let app = App::http(|_, stream| stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").is_ok());
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    let answer = client.get("/");
    assert_eq!(
        (answer.status, answer.field("x-toft-cause")),
        (502, Some("bad-answer"))
    );
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let app = App::http(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        false
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.try_answer(), None);
}

#[test]
fn an_early_answer_reaches_the_client_and_ends_the_connections() {
    let app = App::raw(|mut stream| {
        let mut buffer = [0; 1000];
        let _ = stream.read(&mut buffer).unwrap();
        let answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
        stream.write_all(answer.as_bytes()).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut sender = client.stream.try_clone().unwrap();
    let pump = std::thread::spawn(move || while sender.write_all(&[b'x'; 65536]).is_ok() {});
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_ended());
    drop(client);
    pump.join().unwrap();
}

#[test]
fn a_client_that_leaves_frees_the_app() {
    let (told, ended) = mpsc::channel();
    let told = Mutex::new(told);
    let app = App::raw(move |mut stream| {
        let _ = next_request(&mut stream, &mut Vec::new());
        // Nothing is answered; the end of the connection is what is waited for.
        let length = stream.read(&mut [0; 10]).unwrap_or(0);
        told.lock().unwrap().send(length).unwrap();
    });
    let world = world_of(&app);
    let mut client = Client::connect(world.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(|| app.connections.load(Ordering::SeqCst) == 1);
    // An end with a reset: nobody is there to take an answer.
    rustix::net::sockopt::set_socket_linger(&client.stream, Some(std::time::Duration::ZERO))
        .unwrap();
    drop(client);
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), 0);
}

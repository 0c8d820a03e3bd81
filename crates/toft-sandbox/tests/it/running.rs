//! How a program starts, is told things, and ends.

use crate::help::{self, Went, no_cgroups, shell, spec, start, view_of};
use rustix::io::Errno;
use rustix::process::Signal;
use toft_model::instance::{End, Refusal};
use toft_sandbox::{Error, Status, init};

fn run(argv: &[&str]) -> Went {
    start(&spec(argv), &view_of(&help::base_view()), &no_cgroups())
        .unwrap()
        .wait()
}

#[test]
fn a_program_runs_and_its_end_is_told() {
    if !help::walls() {
        return;
    }
    let went = shell("id -u; hostname; pwd; echo $$; exit 7");
    assert_eq!(went.code(), 7, "{}", went.said);
    assert_eq!(
        went.said,
        format!("{}\nweb-0\n/app\n2\n", help::inner_uid())
    );
    assert_eq!(
        shell("kill -SEGV $$").status,
        Some(Status::Ended(End::Signal(11)))
    );
}

#[test]
fn a_program_that_is_not_there_is_told_from_one_that_failed() {
    if !help::walls() {
        return;
    }
    assert_eq!(
        run(&["no-such-program"]).status,
        Some(Status::NotRun(Errno::NOENT))
    );
    assert_eq!(
        run(&["/no/such/program"]).status,
        Some(Status::NotRun(Errno::NOENT))
    );
    assert_eq!(run(&["/usr"]).status, Some(Status::NotRun(Errno::ACCESS)));
    assert_eq!(run(&["/usr/bin/true"]).code(), 0);
    assert_eq!(run(&["true"]).code(), 0);
}

#[test]
fn signals_reach_the_program_and_its_end_ends_everything() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let script = "trap 'echo caught; exit 3' TERM; sleep 1000 & echo up; wait";
    let instance = start(&spec(&["sh", "-c", script]), &view, &no_cgroups()).unwrap();
    instance.wait_for("up");
    instance.signal(Signal::TERM);
    // The sleeper holds the pipe: that its end comes shows that the sleeper ended too.
    let went = instance.wait();
    assert_eq!((went.code(), went.said.as_str()), (3, "caught\n"));
}

#[test]
fn without_a_handler_a_signal_ends_the_program() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
        let command = spec(&["sh", "-c", "echo up; exec sleep 1000"]);
        let instance = start(&command, &view, &no_cgroups()).unwrap();
        instance.wait_for("up");
        instance.signal(signal);
        let ended = Status::Ended(End::Signal(signal.as_raw()));
        assert_eq!(instance.wait().status, Some(ended));
    }
}

#[test]
fn kill_leaves_no_record() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let command = spec(&["sh", "-c", "echo up; exec sleep 1000"]);
    let instance = start(&command, &view, &no_cgroups()).unwrap();
    instance.wait_for("up");
    instance.signal(Signal::KILL);
    assert_eq!(instance.wait().status, None);
}

#[test]
fn it_ends_with_the_reader_of_its_status() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let command = spec(&["sh", "-c", "echo up; exec sleep 1000"]);
    let mut instance = start(&command, &view, &no_cgroups()).unwrap();
    instance.wait_for("up");
    let (read, _write) = rustix::pipe::pipe().unwrap();
    drop(std::mem::replace(&mut instance.status, read));
    drop(_write);
    assert_eq!(instance.wait().status, None);
}

#[test]
fn commands_run_beside_the_program() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let mut command = spec(&["sh", "-c", "echo up; exec sleep 1000"]);
    command.instance.env.push(("COLOUR".into(), "green".into()));
    let instance = start(&command, &view, &no_cgroups()).unwrap();
    instance.wait_for("up");
    let ask = |token, argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let packet = init::run_request(token, &argv).unwrap();
        rustix::io::write(&instance.control, &packet).unwrap();
    };
    let answer = || {
        let mut buffer = [0u8; 64];
        let got = rustix::io::read(&instance.control, &mut buffer).unwrap();
        init::decode_run_answer(&buffer[..got]).unwrap()
    };
    ask(7, &["sh", "-c", "echo colour $COLOUR; exit 5"]);
    assert_eq!(answer(), (7, Status::Ended(End::Code(5))));
    instance.wait_for("colour green");
    ask(u64::MAX, &["nothing-like-it"]);
    assert_eq!(answer(), (u64::MAX, Status::NotRun(Errno::NOENT)));
    // More than init keeps at a time: the rest is refused, and comes through later.
    for token in 0..40 {
        ask(token, &["sleep", "1000"]);
    }
    for _ in 0..8 {
        assert!(matches!(answer(), (32.., Status::NotRun(Errno::AGAIN))));
    }
    instance.signal(Signal::TERM);
    assert_eq!(instance.wait().status, Some(Status::Ended(End::Signal(15))));
}

#[test]
fn descriptors_arrive_from_three_on_and_no_others() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let extra: Vec<_> = ["one", "two"]
        .iter()
        .map(|text| {
            let (read, write) = rustix::pipe::pipe().unwrap();
            rustix::io::write(&write, text.as_bytes()).unwrap();
            read
        })
        .collect();
    let script = "cat <&3; cat <&4; echo; n=0; while [ $n -lt 1024 ]; do \
                  [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done";
    let command = spec(&["sh", "-c", script]);
    let went = help::start_with(&command, &view, &no_cgroups(), &extra)
        .unwrap()
        .wait();
    assert_eq!(went.said, "onetwo\n0\n1\n2\n3\n4\n");
}

#[test]
fn a_failed_step_is_named_with_its_cure() {
    if !help::walls() {
        return;
    }
    let view = view_of(&help::base_view());
    let mut command = spec(&["true"]);
    command.instance.workdir = "/nowhere".into();
    let Err(error) = start(&command, &view, &no_cgroups()) else {
        panic!("it started")
    };
    assert!(matches!(
        error,
        Error::Child {
            errno: Errno::NOENT,
            ..
        }
    ));
    let refusal = Refusal::from(error);
    assert_eq!(
        refusal.to_string(),
        "enter the working folder (/nowhere): No such file or directory"
    );
    assert!(refusal.cure.is_some());
}

//! `[process.NAME]`: names, words, quantities.

use super::{check, web};
use insta::assert_snapshot;

#[test]
fn names_are_names() {
    let text = "app = \"My_App\"\n[process.Web]\nrun = \"a\"\n[process.1]\nrun = \"a\"\n[env]\nA-B = \"x\"\nPORT = 8080\n";
    assert_snapshot!(check(text), @r#"
    error[E0105]: `My_App` cannot be an app's name
     --> toft.toml:1:8
      |
    1 | app = "My_App"
      |        ^^^^^^ a name is made of a–z, 0–9 and `-`, not of `M`
      |
      = help: did you mean `my-app`?

    error[E0105]: `Web` cannot be a process' name
     --> toft.toml:2:10
      |
    2 | [process.Web]
      |          ^^^ a name is made of a–z, 0–9 and `-`, not of `W`
      |
      = help: did you mean `web`?

    error[E0105]: `1` cannot be a process' name
     --> toft.toml:4:10
      |
    4 | [process.1]
      |          ^ a name starts with a letter a–z, not with `1`

    error[E0105]: `A-B` cannot be an environment variable
     --> toft.toml:7:1
      |
    7 | A-B = "x"
      | ^^^ A–Z, a–z, 0–9 and `_`, no digit in front

    error[E0103]: `env.PORT` is a text
     --> toft.toml:8:8
      |
    8 | PORT = 8080
      |        ^^^^ this is a whole number
      |
      = help: did you mean `"8080"`?
    "#);
}

#[test]
fn names_that_toft_takes_itself() {
    assert_snapshot!(check("app = \"toft\"\n[process.build]\nrun = \"make\"\n"), @r#"
    error[E0105]: `toft` cannot be an app's name
     --> toft.toml:1:8
      |
    1 | app = "toft"
      |        ^^^^ Toft's own processes run under this name

    error[E0105]: `build` cannot be a process' name
     --> toft.toml:2:10
      |
    2 | [process.build]
      |          ^^^^^ builds run under this name
    "#);
}

#[test]
fn commands_are_for_no_shell() {
    assert_snapshot!(check("app = \"a\"\nprocess.web.run = \"cd x && PORT=1 ./run > log\"\n"), @r#"
    error[E0108]: `process.web.run` is a program and its words, no line for a shell
     --> toft.toml:2:25
      |
    2 | process.web.run = "cd x && PORT=1 ./run > log"
      |                         ^^ no shell runs one command after another here
      |
      = help: ask for a shell, `sh -c '…'`, or put the word in quotes if it is meant as it stands
    "#);
    assert_snapshot!(web("init = \"PORT=1 ./run\""), @"E0108 `process.web.init` is a program and its words, no line for a shell: the environment is not set here");
    assert_snapshot!(web("init = \"say 'hello\""), @"E0108 `process.web.init` is a program and its words, no line for a shell: this quote has no end");
    assert_snapshot!(web("init = [\"a\", \"b\"]\n[env]\nA = \"\""), @r#"E0103 `process.web.init` is a text, like `"python3 app.py"`: this is a list"#);
    assert_snapshot!(web("init = \" \""), @"E0108 `process.web.init` says nothing: empty");
}

#[test]
fn words_that_are_not_the_right_ones() {
    let lines = "ready = \"/health\"
alive = \"http:/health\"
stop = { signal = \"sigterm\", grace = 10 }
network = \"hsot\"
restart = \"always\"
budgets = \"best-effort\"
if_lost = \"fence\"
log = { rate = \"many\", to = [\"syslog://x\", \"stdout\"] }";
    assert_snapshot!(check(&format!("app = \"a\"\n[process.web]\nrun = \"a\"\n{lines}\nlisten.http = 1")), @r#"
    error[E0108]: `process.web.ready` cannot be `/health`
     --> toft.toml:4:10
      |
    4 | ready = "/health"
      |          ^^^^^^^ not one of its words
      |
      = help: it is `tcp`, `http:/`, `notify` or `run:`
      = help: did you mean `http:/health`?

    error[E0112]: checks of running instances (`alive`): not yet
     --> toft.toml:5:1
      |
    5 | alive = "http:/health"
      | ^^^^^ right, but this build of Toft cannot do it yet

    error[E0108]: `process.web.alive` cannot be `http:/health`
     --> toft.toml:5:10
      |
    5 | alive = "http:/health"
      |          ^^^^^^^^^^^^ how often is missing
      |
      = help: write something like `"http:/health every 10s"`

    error[E0108]: `process.web.stop.signal` cannot be `sigterm`
     --> toft.toml:6:20
      |
    6 | stop = { signal = "sigterm", grace = 10 }
      |                    ^^^^^^^ not one of its words
      |
      = help: it is `TERM`, `INT`, `QUIT`, `HUP`, `USR1` or `USR2`
      = help: did you mean `TERM`?

    error[E0106]: `process.web.stop.grace` is a span of time, with its unit
     --> toft.toml:6:38
      |
    6 | stop = { signal = "sigterm", grace = 10 }
      |                                      ^^ a number without a unit
      |
      = help: did you mean `"10s"`?

    error[E0108]: `process.web.network` cannot be `hsot`
     --> toft.toml:7:12
      |
    7 | network = "hsot"
      |            ^^^^ not one of its words
      |
      = help: it is `doors` or `host`
      = help: did you mean `host`?

    error[E0108]: `process.web.restart` cannot be `always`
     --> toft.toml:8:12
      |
    8 | restart = "always"
      |            ^^^^^^ neither `never` nor a first and a longest wait
      |
      = help: write something like `"1s to 5m, reset after 5m"`

    error[E0108]: `process.web.budgets` cannot be `best-effort`
     --> toft.toml:9:12
      |
    9 | budgets = "best-effort"
      |            ^^^^^^^^^^^ not one of its words
      |
      = help: it is `required` or `best effort`
      = help: did you mean `best effort`?

    error[E0112]: what follows the loss of a machine (`if_lost`): not yet
      --> toft.toml:10:1
       |
    10 | if_lost = "fence"
       | ^^^^^^^ right, but this build of Toft cannot do it yet

    error[E0108]: `process.web.if_lost` cannot be `fence`
      --> toft.toml:10:12
       |
    10 | if_lost = "fence"
       |            ^^^^^ not one of its words
       |
       = help: it is `replace` or `fence first`
       = help: did you mean `fence first`?

    error[E0106]: `process.web.log.rate` is a rate, like `2000 lines/s`
      --> toft.toml:11:17
       |
    11 | log = { rate = "many", to = ["syslog://x", "stdout"] }
       |                 ^^^^ the unit is `lines/s`

    error[E0112]: a choice of where log lines go (`log.to`): not yet
      --> toft.toml:11:24
       |
    11 | log = { rate = "many", to = ["syslog://x", "stdout"] }
       |                        ^^ right, but this build of Toft cannot do it yet

    error[E0108]: `process.web.log.to` cannot be `syslog`
      --> toft.toml:11:31
       |
    11 | log = { rate = "many", to = ["syslog://x", "stdout"] }
       |                               ^^^^^^ not one of its words
       |
       = help: it is `syslog+udp`, `syslog+tcp`, `syslog+tls`, `https` or `otlp+https`
       = help: did you mean `syslog+udp`?

    error[E0108]: `process.web.log.to` cannot be `stdout`
      --> toft.toml:11:45
       |
    11 | log = { rate = "many", to = ["syslog://x", "stdout"] }
       |                                             ^^^^^^ not one of its words
       |
       = help: it is `store`, `syslog+udp`, `syslog+tcp`, `syslog+tls`, `https` or `otlp+https`
    "#);
}

#[test]
fn signals_that_ask() {
    assert_snapshot!(web("stop.signal = \"KILL\""), @"E0108 KILL ends a program without asking: no program can answer it");
    assert_snapshot!(web("stop.signal = \"SEGV\""), @"E0108 `process.web.stop.signal` cannot be `SEGV`: not one of its words");
    assert_snapshot!(web("stop.signal = \"USR1\""), @"good");
}

#[test]
fn counts() {
    assert_snapshot!(web("count = 0"), @"good");
    assert_snapshot!(web("count = \"0..10\""), @"good");
    assert_snapshot!(web("count = -1"), @"E0107 `process.web.count` is a whole number from 0 to 10000: too small");
    assert_snapshot!(web("count = \"3\""), @r#"E0103 `process.web.count` is a whole number, or a range, like `"0..10"`: this is a text, and no range"#);
    assert_snapshot!(web("count = \"10..3\""), @"E0107 `process.web.count` is a range from few to many: 10 is more than 3");
    assert_snapshot!(web("count = \"0..0\""), @"E0107 `process.web.count` is a whole number from 1 to 10000: not such a number");
    assert_snapshot!(web("count = 1.5"), @r#"E0103 `process.web.count` is a whole number, or a range, like `"0..10"`: this is a decimal number"#);
}

#[test]
fn quantities_have_units_and_bounds() {
    assert_snapshot!(web("limits.memory = 256"), @"E0106 `process.web.limits.memory` is a size, with its unit: a number without a unit");
    assert_snapshot!(web("limits.memory = \"256mb\""), @"E0106 `process.web.limits.memory` is a size, like `256MiB`: not a unit");
    assert_snapshot!(web("limits.memory = \"1KiB\""), @"E0107 `process.web.limits.memory` is a size of 1MiB or more: too small");
    assert_snapshot!(web("limits.memory = \"big\""), @"E0106 `process.web.limits.memory` is a size, like `256MiB`: this does not start with a whole number");
    assert_snapshot!(web("limits.memory = \"99999999999999TiB\""), @"E0106 `process.web.limits.memory` is a size, like `256MiB`: larger than can be counted");
    assert_snapshot!(web("limits.cpu = 0"), @"E0107 `process.web.limits.cpu` is a number of processors from 0.001 to 4096: too small");
    assert_snapshot!(web("limits.cpu = 0.0005"), @"E0107 `process.web.limits.cpu` is counted in thousandths of a processor: finer than that");
    assert_snapshot!(web("limits.cpu = 0.1234"), @"E0107 `process.web.limits.cpu` is counted in thousandths of a processor: finer than that");
    assert_snapshot!(web("limits.cpu = nan"), @"E0107 `process.web.limits.cpu` is a number of processors from 0.001 to 4096: too small");
    assert_snapshot!(web("limits.cpu = \"1\""), @"E0103 `process.web.limits.cpu` is a number of processors, like `0.5`: this is a text");
    assert_snapshot!(web("limits.pids = 0"), @"E0107 `process.web.limits.pids` is a whole number from 1 to 4194304: too small");
    assert_snapshot!(web("limits.open_files = 99999999"), @"E0107 `process.web.limits.open_files` is a whole number from 16 to 1048576: too large");
    assert_snapshot!(web("ready_within = \"30\""), @"E0106 `process.web.ready_within` is a span of time, like `30s`: the unit is missing");
    assert_snapshot!(web("ready_within = \"30 minutes\""), @"E0106 `process.web.ready_within` is a span of time, like `30s`: not a unit");
    assert_snapshot!(web("ready_within = \"0s\""), @"E0107 `process.web.ready_within` is a span of time from 1s to 3650d: too short");
    assert_snapshot!(web("restart = \"5m to 1s\""), @"E0107 `process.web.restart` is a first wait and a longest one: longer than the longest");
    assert_snapshot!(web("log.rate = 2000"), @"E0106 `process.web.log.rate` is a rate, with its unit: a number without a unit");
    assert_snapshot!(web("log.rate = \"0 lines/s\""), @"E0107 `process.web.log.rate` is a whole number from 1 to 10000000: not such a number");
    assert_snapshot!(web("log.to = []"), @"E0108 log lines go somewhere: nothing is in this list");
}

#[test]
fn sets() {
    assert_snapshot!(web("use = [\"python3\", \"debian:libpq5\", \"python3\"]"), @r#"E0110 "python3" stands twice in `process.web.use`: and here again"#);
    assert_snapshot!(web("use = \"python3\""), @r#"E0103 `process.web.use` is a list, like `["python3", "certs"]`: this is a text"#);
    assert_snapshot!(web("use = [\"Python3\", \"debain:x1\", \"debian:\", 3]"), @r#"
    E0105 `Python3` cannot be a set: a name of a–z, 0–9, `+`, `-` and `.`
    E0108 `debain` is not a kind of set: not known
    E0105 a Debian package is missing: a package's name is made of a–z, 0–9, `+`, `-` and `.`
    E0103 `process.web.use` is a text, like `"python3"`: this is a whole number
    "#);
}

#[test]
fn a_check_needs_a_door() {
    assert_snapshot!(check("app = \"a\"\n[process.web]\nrun = \"a\"\nready = \"http:/healthz\"\n"), @r#"
    error[E0114]: `http:/healthz` asks at a door for TCP, and this process has none
     --> toft.toml:4:10
      |
    4 | ready = "http:/healthz"
      |          ^^^^^^^^^^^^^ no door to ask at
      |
      = help: give it one: `[process.web.listen]` with `http = 8080`
    "#);
    assert_snapshot!(web("ready = \"tcp\"\nlisten = { a = \"udp:53\" }"), @"E0114 `tcp` asks at a door for TCP, and this process has none: no door to ask at");
    assert_snapshot!(web("ready = \"notify\""), @"good");
    assert_snapshot!(web("ready = \"run:a --b\""), @"good");
    assert_snapshot!(web("ready = \"http://x\"\nlisten.a = 1"), @"E0108 `process.web.ready` cannot be `http://x`: a path that starts with one `/` and has no spaces belongs behind `http:`");
    assert_snapshot!(web("alive = \"tcp every 0s\"\nlisten.a = 1"), @"E0107 `process.web.alive` is a span of time from 1s to 3650d: too short");
}

#[test]
fn placement() {
    assert_snapshot!(web("needs = { zone = \"a\", spread = \"rack\", apart = [\"web\"], beside = [\"app:x\"] }"), @"good");
    assert_snapshot!(web("needs = { Zone = \"a\", rack = 3, apart = [\"wbe\"], beside = \"x\" }"), @r#"
    E0105 `Zone` cannot be a label of machines: a name is made of a–z, 0–9 and `-`, not of `Z`
    E0103 `process.web.needs.rack` is a text, like `"a"`: this is a whole number
    E0109 there is no process `wbe`: no such process in this app
    E0103 `process.web.needs.beside` is a list, like `["worker", "app:shop"]`: this is a text
    "#);
}

#[test]
fn words_of_other_tools_and_keys_beside_their_table() {
    let text = "name = \"a\"
[web]
run = \"a\"
[process.worker]
command = \"b\"
replicas = 2
memory = \"1GiB\"
grace = \"3s\"
ports = [80]
zebra = 1
";
    assert_snapshot!(check(text), @r#"
    error[E0102]: the app file has no key `name`
     --> toft.toml:1:1
      |
    1 | name = "a"
      | ^^^^ not a key here
      |
      = help: did you mean `app`?

    error[E0102]: the app file has no key `web`
     --> toft.toml:2:2
      |
    2 | [web]
      |  ^^^ not a key here
      |
      = help: did you mean `process.web`?

    error[E0102]: `[process.worker]` has no key `command`
     --> toft.toml:5:1
      |
    5 | command = "b"
      | ^^^^^^^ not a key here
      |
      = help: did you mean `run`?

    error[E0102]: `[process.worker]` has no key `replicas`
     --> toft.toml:6:1
      |
    6 | replicas = 2
      | ^^^^^^^^ not a key here
      |
      = help: did you mean `count`?

    error[E0102]: `[process.worker]` has no key `memory`
     --> toft.toml:7:1
      |
    7 | memory = "1GiB"
      | ^^^^^^ not a key here
      |
      = help: did you mean `limits.memory`?

    error[E0102]: `[process.worker]` has no key `grace`
     --> toft.toml:8:1
      |
    8 | grace = "3s"
      | ^^^^^ not a key here
      |
      = help: did you mean `stop.grace`?

    error[E0102]: `[process.worker]` has no key `ports`
     --> toft.toml:9:1
      |
    9 | ports = [80]
      | ^^^^^ not a key here
      |
      = help: did you mean `listen`?

    error[E0102]: `[process.worker]` has no key `zebra`
      --> toft.toml:10:1
       |
    10 | zebra = 1
       | ^^^^^ not a key here
       |
       = help: its keys are `alive`, `budgets`, `connect`, `count`, `env`, `files`, `if_lost`, `init`, `limits`, `listen`, `log`, `needs`, `network`, `ready`, `ready_within`, `restart`, `run`, `stop`, `use`
    "#);
    assert_snapshot!(check("app = \"a\"\n[web]\nrun = \"a\"\n"), @r#"
    error[E0102]: the app file has no key `web`
     --> toft.toml:2:2
      |
    2 | [web]
      |  ^^^ not a key here
      |
      = help: did you mean `process.web`?
    "#);
}

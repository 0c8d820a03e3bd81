//! Releases, deploys, schedules, tests, notifications.

use super::check_whole;
use insta::assert_snapshot;

#[test]
fn schedules() {
    let text = "app = \"a\"
[process.b]
run = \"a\"
[process.c]
run = \"a\"
[schedule.one]
run = \"a\"
at = \"61 2 * * mon-fry\"
every = \"1m\"
like = \"d\"
[schedule.two]
run = \"a\"
at = \"0 0 * *\"
[schedule.three]
run = \"a\"
like = \"b\"
zone = \"Europe London\"
overlap = \"wait\"
missed = \"twice\"
retries = \"many\"
expect = \"daily\"
after = \"tow\"
[schedule.four]
run = \"a\"
like = \"b\"
at = \"*/0 5/2 9-3 13 *\"
limit = \"0s\"
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0108]: `61` is not a minute
     --> toft.toml:8:7
      |
    8 | at = "61 2 * * mon-fry"
      |       ^^ 0 to 59

    error[E0108]: `fry` is not a day of the week
     --> toft.toml:8:20
      |
    8 | at = "61 2 * * mon-fry"
      |                    ^^^ 0 to 7, or sun to sat
      |
      = help: did you mean `fri`?

    error[E0114]: `[schedule.one]` says twice when it is
     --> toft.toml:9:1
      |
    8 | at = "61 2 * * mon-fry"
      | -- or this
    9 | every = "1m"
      | ^^^^^ either this

    error[E0109]: there is no process `d`
      --> toft.toml:10:9
       |
    10 | like = "d"
       |         ^ no such process in this app
       |
       = help: there are `b`, `c`

    error[E0104]: `[schedule.two]` does not say `like`
      --> toft.toml:11:11
       |
    11 | [schedule.two]
       |           ^^^ `like` is missing here
       |
       = help: a run takes the sandbox, the doors and the environment of a process; none is called `web` here
       = help: write `like = "b"` or `like = "c"`

    error[E0108]: a time has five fields: minute, hour, day of the month, month, day of the week
      --> toft.toml:13:7
       |
    13 | at = "0 0 * *"
       |       ^^^^^^^ this has 4
       |
       = help: every day at half past two is `30 2 * * *`; for a fixed span write `every = "90m"`

    error[E0105]: `Europe London` cannot be a time zone
      --> toft.toml:17:9
       |
    17 | zone = "Europe London"
       |         ^^^^^^^^^^^^^ a name like `UTC` or `Europe/London`

    error[E0108]: `schedule.three.overlap` cannot be `wait`
      --> toft.toml:18:12
       |
    18 | overlap = "wait"
       |            ^^^^ not one of its words
       |
       = help: it is `skip`, `queue`, `kill` or `allow`

    error[E0108]: `schedule.three.missed` cannot be `twice`
      --> toft.toml:19:11
       |
    19 | missed = "twice"
       |           ^^^^^ neither `never` nor `once within` and a span
       |
       = help: write something like `"once within 6h"`

    error[E0108]: `schedule.three.retries` cannot be `many`
      --> toft.toml:20:12
       |
    20 | retries = "many"
       |            ^^^^ how often, and after what wait
       |
       = help: write something like `"3, 1m doubling"`

    error[E0108]: `schedule.three.expect` cannot be `daily`
      --> toft.toml:21:11
       |
    21 | expect = "daily"
       |           ^^^^^ it is `success every` and a span
       |
       = help: write something like `"success every 26h"`

    error[E0109]: there is no schedule `tow`
      --> toft.toml:22:10
       |
    22 | after = "tow"
       |          ^^^ no such schedule in this app
       |
       = help: did you mean `two`?

    error[E0108]: `0` is not a step
      --> toft.toml:26:9
       |
    26 | at = "*/0 5/2 9-3 13 *"
       |         ^ a number from 1 to 59

    error[E0108]: `5/2` has a step, but is one value
      --> toft.toml:26:13
       |
    26 | at = "*/0 5/2 9-3 13 *"
       |             ^ a step goes with `*` or a range

    error[E0108]: `9-3` runs backwards
      --> toft.toml:26:15
       |
    26 | at = "*/0 5/2 9-3 13 *"
       |               ^^^ the first is after the last

    error[E0108]: `13` is not a month
      --> toft.toml:26:19
       |
    26 | at = "*/0 5/2 9-3 13 *"
       |                   ^^ 1 to 12, or jan to dec

    error[E0107]: `schedule.four.limit` is a span of time from 1s to 3650d
      --> toft.toml:27:10
       |
    27 | limit = "0s"
       |          ^^ too short
    "#);
}

#[test]
fn schedules_do_not_wait_for_each_other() {
    let text = "app = \"a\"
process.web.run = \"a\"
schedule.x = { run = \"a\", after = \"z\" }
schedule.y = { run = \"a\", after = \"x\" }
schedule.z = { run = \"a\", after = \"y\" }
schedule.own = { run = \"a\", after = \"own\" }
schedule.tail = { run = \"a\", after = \"x\" }
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0115]: `x` after `z` after `y` after `x` wait for each other
     --> toft.toml:3:35
      |
    3 | schedule.x = { run = "a", after = "z" }
      |                                   ^^^ this closes the circle

    error[E0115]: `own` after `own` wait for each other
     --> toft.toml:6:37
      |
    6 | schedule.own = { run = "a", after = "own" }
      |                                     ^^^^^ this closes the circle
    "#);
}

#[test]
fn releases_and_deploys() {
    let text = "app = \"a\"
process.web.run = \"a\"
[release]
like = \"wbe\"
[deploy]
at_once = 0
canary = [5, 3, 101, \"x\"]
abort = \"errors > 2 or p98 > 2x or p99 > fast\"
keep = \"20 releases, 5 releases\"
[notify]
to = [\"http://x.example\", \"run:\", \"https://X y\"]
[test]
rnu = \"pytest\"
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0104]: `[release]` does not say `run`
     --> toft.toml:3:2
      |
    3 | [release]
      |  ^^^^^^^ `run` is missing here

    error[E0109]: there is no process `wbe`
     --> toft.toml:4:9
      |
    4 | like = "wbe"
      |         ^^^ no such process in this app
      |
      = help: did you mean `web`?

    error[E0107]: `deploy.at_once` is a whole number from 1 to 10000
     --> toft.toml:6:11
      |
    6 | at_once = 0
      |           ^ too small

    error[E0107]: `deploy.canary` is a list of shares in percent, each larger than the one before
     --> toft.toml:7:14
      |
    7 | canary = [5, 3, 101, "x"]
      |              ^ smaller than the one before

    error[E0107]: `deploy.canary` is a whole number from 1 to 100
     --> toft.toml:7:17
      |
    7 | canary = [5, 3, 101, "x"]
      |                 ^^^ too large

    error[E0103]: `deploy.canary` is a whole number from 1 to 100
     --> toft.toml:7:22
      |
    7 | canary = [5, 3, 101, "x"]
      |                      ^^^ this is a text

    error[E0108]: `deploy.abort` cannot be `2`
     --> toft.toml:8:19
      |
    8 | abort = "errors > 2 or p98 > 2x or p99 > fast"
      |                   ^ a share of requests, in percent
      |
      = help: write something like `"errors > 2% or p99 > 2x"`

    error[E0108]: `deploy.abort` cannot be `p98`
     --> toft.toml:8:24
      |
    8 | abort = "errors > 2 or p98 > 2x or p99 > fast"
      |                        ^^^ not one of its words
      |
      = help: it is `errors`, `p50`, `p90`, `p95` or `p99`
      = help: did you mean `p90`?

    error[E0108]: `deploy.abort` cannot be `fast`
     --> toft.toml:8:42
      |
    8 | abort = "errors > 2 or p98 > 2x or p99 > fast"
      |                                          ^^^^ how many times the old release's figure, like `2x`
      |
      = help: write something like `"errors > 2% or p99 > 2x"`

    error[E0108]: `deploy.keep` cannot be `5 releases`
     --> toft.toml:9:22
      |
    9 | keep = "20 releases, 5 releases"
      |                      ^^^^^^^^^^ a second number of releases
      |
      = help: write something like `"20 releases, 90 days"`

    error[E0108]: `http://x.example` tells nobody
      --> toft.toml:11:8
       |
    11 | to = ["http://x.example", "run:", "https://X y"]
       |        ^^^^^^^^^^^^^^^^ neither `https://…` nor `run:…`

    error[E0108]: `notify.to` names no program
      --> toft.toml:11:32
       |
    11 | to = ["http://x.example", "run:", "https://X y"]
       |                                ^ the first word is the program

    error[E0105]: `X y` cannot be a host name
      --> toft.toml:11:44
       |
    11 | to = ["http://x.example", "run:", "https://X y"]
       |                                            ^^^ host names are written in lower case, not with `X`

    error[E0102]: `[test]` has no key `rnu`
      --> toft.toml:13:1
       |
    13 | rnu = "pytest"
       | ^^^ not a key here
       |
       = help: did you mean `run`?
    "#);
}

#[test]
fn volumes() {
    let text = "app = \"a\"
process.web.run = \"a\"
process.web.files.\"/data\" = \"volume:v\"
[volume.v]
size = \"5Gib\"
for = \"the apps\"
sync = \"each 1s\"
io = 3
replicas = 0
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0106]: `volume.v.size` is a size, like `256MiB`
     --> toft.toml:5:10
      |
    5 | size = "5Gib"
      |          ^^^ not a unit
      |
      = help: the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB
      = help: did you mean `GiB`?

    error[E0108]: `volume.v.for` cannot be `the apps`
     --> toft.toml:6:8
      |
    6 | for = "the apps"
      |        ^^^^^^^^ not one of its words
      |
      = help: it is `the app` or `each instance`
      = help: did you mean `the app`?

    error[E0108]: `volume.v.sync` cannot be `each 1s`
     --> toft.toml:7:9
      |
    7 | sync = "each 1s"
      |         ^^^^^^^ neither `immediate` nor `every` and a span
      |
      = help: write something like `"every 1s"`

    error[E0103]: `volume.v.io` is a text, like `"low"`
     --> toft.toml:8:6
      |
    8 | io = 3
      |      ^ this is a whole number

    error[E0107]: `volume.v.replicas` is a whole number from 1 to 16
     --> toft.toml:9:12
      |
    9 | replicas = 0
      |            ^ too small
    "#);
}

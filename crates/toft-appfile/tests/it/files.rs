//! Files, volumes, builds: what an app sees and keeps.

use super::{check, check_in, web};
use insta::assert_snapshot;
use toft_appfile::{Folder, Overrides};

#[test]
fn files() {
    let text = "app = \"a\"
[process.web]
run = \"a\"
[process.web.files]
\"data\" = \"volume:upload\"
\"/proc/x\" = \"read:/etc\"
\"/d/\" = \"red:./x\"
\"/e\" = \"write:~/x\"
\"/f\" = \"./x\"
\"/g\" = \"scratch:12\"
\"/h\" = \"read:a/../b\"
\"/i/../j\" = \"read:/a/../b\"
\"/k\" = \"read:/a//b\"
\"/l\" = \"read:\"
\"/m\" = \"volume:none\"
[volume.uploads]
size = 5
for = \"app\"
";
    assert_snapshot!(check(text), @r#"
    error[E0111]: `data` is not a path inside of the sandbox
     --> toft.toml:5:2
      |
    5 | "data" = "volume:upload"
      |  ^^^^ it starts with `/`
      |
      = help: did you mean `/data`?

    error[E0109]: there is no volume `upload`
     --> toft.toml:5:18
      |
    5 | "data" = "volume:upload"
      |                  ^^^^^^ no such volume in this app
      |
      = help: did you mean `uploads`?

    error[E0111]: `/proc/x` is made by Toft itself
     --> toft.toml:6:2
      |
    6 | "/proc/x" = "read:/etc"
      |  ^^^^^^^ nothing else can stand here
      |
      = help: choose another path, like `/data`

    error[E0111]: `/d/` is not in its plain form
     --> toft.toml:7:2
      |
    7 | "/d/" = "red:./x"
      |  ^^^ `//`, `/.` or `/` at the end
      |
      = help: did you mean `/d`?

    error[E0108]: `red:./x` does not say how it is shared
     --> toft.toml:7:10
      |
    7 | "/d/" = "red:./x"
      |          ^^^ not one of its words
      |
      = help: it starts with `read:`, `write:`, `volume:` or `scratch:`
      = help: did you mean `read`?

    error[E0111]: `~/x` is outside of the app's folder
     --> toft.toml:8:15
      |
    8 | "/e" = "write:~/x"
      |               ^^^ nobody's home is reached from here
      |
      = help: put what it needs into the app's folder, or write the absolute path

    error[E0108]: `./x` does not say how it is shared
     --> toft.toml:9:9
      |
    9 | "/f" = "./x"
      |         ^^^ not one of its words
      |
      = help: it starts with `read:`, `write:`, `volume:` or `scratch:`

    error[E0106]: `process.web.files."/g"` is a size, like `256MiB`
      --> toft.toml:10:17
       |
    10 | "/g" = "scratch:12"
       |                 ^^ the unit is missing
       |
       = help: the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB

    error[E0111]: `a/../b` goes up with `..`
      --> toft.toml:11:14
       |
    11 | "/h" = "read:a/../b"
       |              ^^^^^^ write where it leads

    error[E0111]: `/i/../j` goes up with `..`
      --> toft.toml:12:2
       |
    12 | "/i/../j" = "read:/a/../b"
       |  ^^^^^^^ write where it leads

    error[E0111]: `/a/../b` goes up with `..`
      --> toft.toml:12:19
       |
    12 | "/i/../j" = "read:/a/../b"
       |                   ^^^^^^^ write where it leads

    error[E0111]: `/a//b` is not in its plain form
      --> toft.toml:13:14
       |
    13 | "/k" = "read:/a//b"
       |              ^^^^^ `//`, `/.` or `/` at the end
       |
       = help: did you mean `/a/b`?

    error[E0111]: a path is missing
      --> toft.toml:14:14
       |
    14 | "/l" = "read:"
       |              ^ nothing here

    error[E0109]: there is no volume `none`
      --> toft.toml:15:16
       |
    15 | "/m" = "volume:none"
       |                ^^^^ no such volume in this app
       |
       = help: the only volume is `uploads`
       = help: declare it: `[volume.none]`

    error[E0106]: `volume.uploads.size` is a size, with its unit
      --> toft.toml:17:8
       |
    17 | size = 5
       |        ^ a number without a unit
       |
       = help: did you mean `"5MiB"`?

    error[E0108]: `volume.uploads.for` cannot be `app`
      --> toft.toml:18:8
       |
    18 | for = "app"
       |        ^^^ not one of its words
       |
       = help: it is `the app` or `each instance`
    "#);
    assert_snapshot!(web("files.\"/a\" = \"read:../x\""), @"E0111 `../x` leads out of the app's folder: goes up past it");
    assert_snapshot!(web("files.\"/a\" = \"read:a/../../x\""), @"E0111 `a/../../x` leads out of the app's folder: goes up past it");
    assert_snapshot!(web("files.\"/app\" = \"read:x\""), @"E0111 `/app` is made by Toft itself: nothing else can stand here");
    assert_snapshot!(web("files.\"/etc/passwd\" = \"read:x\""), @"E0111 `/etc/passwd` is made by Toft itself: nothing else can stand here");
    assert_snapshot!(web("files.\"/app/x\" = \"read:.\""), @"good");
}

#[test]
fn builds() {
    let text = "app = \"a\"
process.web.run = \"a\"
[build]
use = [\"rust\"]
connect = [\"crates.io\"]
cache = [\"/var/cache\", \"~/../x\", \"~/\", \".\", \"~/.cargo\", \"../x\"]
";
    assert_snapshot!(check(text), @r#"
    error[E0104]: `[build]` does not say `run`
     --> toft.toml:3:2
      |
    3 | [build]
      |  ^^^^^ `run` is missing here

    error[E0108]: `build.connect` needs a port number
     --> toft.toml:5:13
      |
    5 | connect = ["crates.io"]
      |             ^^^^^^^^^ the port is missing
      |
      = help: write it behind the host: `crates.io:443`
      = help: it leads to `app:NAME/DOOR`, to `PROCESS/DOOR` of this app, to `machine:PORT`, to `HOST:PORT` or to `*:PORT`

    error[E0111]: `/var/cache` is outside of the app's folder
     --> toft.toml:6:11
      |
    6 | cache = ["/var/cache", "~/../x", "~/", ".", "~/.cargo", "../x"]
      |           ^^^^^^^^^^ not in the project
      |
      = help: write it from the app's folder on: `./…`

    error[E0111]: `../x` leads out of the build's home
     --> toft.toml:6:27
      |
    6 | cache = ["/var/cache", "~/../x", "~/", ".", "~/.cargo", "../x"]
      |                           ^^^^ goes up past it
      |
      = help: a relative path stays in the build's home; what lies elsewhere is named by its absolute path

    error[E0111]: a path is missing
     --> toft.toml:6:37
      |
    6 | cache = ["/var/cache", "~/../x", "~/", ".", "~/.cargo", "../x"]
      |                                     ^ nothing here

    error[E0111]: `.` is all of the app's folder
     --> toft.toml:6:41
      |
    6 | cache = ["/var/cache", "~/../x", "~/", ".", "~/.cargo", "../x"]
      |                                         ^ name a folder in it

    error[E0111]: `../x` leads out of the app's folder
     --> toft.toml:6:58
      |
    6 | cache = ["/var/cache", "~/../x", "~/", ".", "~/.cargo", "../x"]
      |                                                          ^^^^ goes up past it
      |
      = help: a relative path stays in the app's folder; what lies elsewhere is named by its absolute path
    "#);
}

struct Only(&'static str);

impl Folder for Only {
    fn exists(&self, path: &str) -> bool {
        path == self.0
    }

    fn is_dir(&self, path: &str) -> bool {
        path == self.0
    }
}

#[test]
fn what_is_right_but_may_not_be_meant() {
    let text = "app = \"a\"
process.web.run = \"a\"
process.web.files.\"/x\" = \"read:./pages\"
process.web.files.\"/y\" = \"read:./gone\"
[volume.uploads]
";
    assert_snapshot!(check_in(text, &Overrides::default(), &Only("pages")), @r#"
    warning[E0117]: there is no `./gone` in the folder
     --> toft.toml:4:32
      |
    4 | process.web.files."/y" = "read:./gone"
      |                                ^^^^^^ not there now
      |
      = help: the build may make it; if nothing does, the start is refused

    warning[E0116]: no process has the volume `uploads`
     --> toft.toml:5:9
      |
    5 | [volume.uploads]
      |         ^^^^^^^ declared here
      |
      = help: give it to a process: `[process.NAME.files]` with `"/data" = "volume:uploads"`
    "#);
}

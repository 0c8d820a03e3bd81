//! Doors in, doors out, routes.

use super::{check, check_whole, web};
use insta::assert_snapshot;

#[test]
fn doors_in() {
    let text = "app = \"a\"
[process.web]
run = \"a\"
[process.web.listen]
http = \"8080\"
https = 0
x = \"unx:/a\"
y = { prt = 1 }
z = { port = \"unix:/run/z\", client_address = true }
Label = 3
[process.worker]
run = \"b\"
[process.worker.listen]
http = 9
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0108]: `process.web.listen.http` cannot be `8080`
     --> toft.toml:5:8
      |
    5 | http = "8080"
      |        ^^^^^^ a TCP port is written as a number
      |
      = help: did you mean `8080`?

    error[E0107]: `process.web.listen.https` is a port from 1 to 65535
     --> toft.toml:6:9
      |
    6 | https = 0
      |         ^ not a port

    error[E0108]: `process.web.listen.x` cannot be `unx:/a`
     --> toft.toml:7:6
      |
    7 | x = "unx:/a"
      |      ^^^^^^ not a door
      |
      = help: a door is a TCP port, like `8080`, or `"udp:5353"`, or `"unix:/run/x.sock"`

    error[E0102]: `[process.web.listen.y]` has no key `prt`
     --> toft.toml:8:7
      |
    8 | y = { prt = 1 }
      |       ^^^ not a key here
      |
      = help: did you mean `port`?

    error[E0114]: a unix socket has no client address to show
     --> toft.toml:9:29
      |
    9 | z = { port = "unix:/run/z", client_address = true }
      |                             ^^^^^^^^^^^^^^ goes with a port

    error[E0105]: `Label` cannot be a door's label
      --> toft.toml:10:1
       |
    10 | Label = 3
       | ^^^^^ a name is made of a–z, 0–9 and `-`, not of `L`
       |
       = help: did you mean `label`?

    error[E0110]: two doors of this app are called `http`
      --> toft.toml:14:1
       |
     5 | http = "8080"
       | ---- here first
    ...
    14 | http = 9
       | ^^^^ and here again
       |
       = help: a label is unique in the app; `web` has it already
    "#);
    assert_snapshot!(web("listen = { a = 80, b = 80, c = \"udp:80\" }"), @"E0110 two doors of one process listen on `80`: and here again");
    assert_snapshot!(web("listen = { a = \"udp:0\", b = \"udp:\", c = \"unix:x\", d = \"unix:/proc/x\" }"), @r#"
    E0107 `process.web.listen.a` is a port from 1 to 65535: not a port
    E0108 `process.web.listen.b` needs a port number: the port is missing
    E0111 `x` is not a path inside of the sandbox: it starts with `/`
    E0111 `/proc/x` is made by Toft itself: nothing else can stand here
    "#);
    assert_snapshot!(web("listen = [8080]"), @"E0103 `process.web.listen` is a table of keys: this is a list");
}

#[test]
fn doors_out() {
    let text = "app = \"a\"
[process.web]
run = \"a\"
listen.http = 80
[process.web.connect]
a = \"https://x.example/y\"
b = \"localhost:1\"
c = \"x.example\"
d = \"x.example:https\"
e = \"web/htp\"
f = \"app:b\"
g = \"127.1.0.01:4\"
h = \"*.*:443\"
i = \"Mail.example.com:25\"
j = \"[::0]:25\"
k = \"web\"
localhost = \"*:1\"
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0108]: `process.web.connect.a` is a host and a port
     --> toft.toml:6:6
      |
    6 | a = "https://x.example/y"
      |      ^^^^^^^^^^^^^^^^^^^ this is a URL
      |
      = help: did you mean `x.example:443`?

    error[E0108]: inside, `localhost` is the instance itself
     --> toft.toml:7:6
      |
    7 | b = "localhost:1"
      |      ^^^^^^^^^ leads nowhere else
      |
      = help: for a server on the machine write `machine:PORT`, for a process of this app `PROCESS/DOOR`

    error[E0108]: `process.web.connect.c` needs a port number
     --> toft.toml:8:6
      |
    8 | c = "x.example"
      |      ^^^^^^^^^ the port is missing
      |
      = help: write it behind the host: `x.example:443`
      = help: it leads to `app:NAME/DOOR`, to `PROCESS/DOOR` of this app, to `machine:PORT`, to `HOST:PORT` or to `*:PORT`

    error[E0108]: `process.web.connect.d` needs a port number
     --> toft.toml:9:16
      |
    9 | d = "x.example:https"
      |                ^^^^^ not a number
      |
      = help: did you mean `443`?

    error[E0109]: there is no door `web/htp`
      --> toft.toml:10:10
       |
    10 | e = "web/htp"
       |          ^^^ no such door in this app
       |
       = help: did you mean `http`?

    error[E0108]: `process.web.connect.f` is another app's door, like `app:shop-db/sql`
      --> toft.toml:11:10
       |
    11 | f = "app:b"
       |          ^ the door is missing

    error[E0108]: `127.1.0.01` is not an address
      --> toft.toml:12:6
       |
    12 | g = "127.1.0.01:4"
       |      ^^^^^^^^^^ not an IP address

    error[E0105]: `*` cannot be a host name
      --> toft.toml:13:8
       |
    13 | h = "*.*:443"
       |        ^ a host name is made of a–z, 0–9, `-` and dots, not of `*`

    error[E0105]: `Mail.example.com` cannot be a host name
      --> toft.toml:14:6
       |
    14 | i = "Mail.example.com:25"
       |      ^^^^^^^^^^^^^^^^ host names are written in lower case, not with `M`
       |
       = help: did you mean `mail.example.com`?

    error[E0108]: an address stands in its usual form
      --> toft.toml:15:7
       |
    15 | j = "[::0]:25"
       |       ^^^ not in its usual form
       |
       = help: did you mean `::`?

    error[E0108]: `process.web.connect.k` leads to a door, not to a process
      --> toft.toml:16:6
       |
    16 | k = "web"
       |      ^^^ the door is missing
       |
       = help: did you mean `web/http`?

    error[E0105]: `localhost` cannot be the name of a door out
      --> toft.toml:17:1
       |
    17 | localhost = "*:1"
       | ^^^^^^^^^ inside, this is the instance itself
    "#);
}

#[test]
fn routes_lead_somewhere() {
    let text = "app = \"a\"
[process.web]
run = \"a\"
listen = { http = 80, dns = \"udp:53\" }
[process.idle]
run = \"b\"
[route.\"a.example.com\"]
to = \"web\"
[route.\"b.example.com\"]
to = \"web/htpp\"
[route.\"c.example.com\"]
to = \"idle/http\"
[route.\"d.example.com\"]
to = \"web/dns\"
balance = \"hash:header:X-User\"
[route.\"tcp:dns\"]
to = \"web/http\"
balance = \"picker:web/http\"
[route.\"udp:53\"]
to = \"web/http\"
on = [\"eth 0\", \"eth1\", \"eth1\"]
[route.\"https://e.example.com/\"]
to = \"web/http\"
[route.\"E.example.com\"]
to = \"web/http\"
[route.\"f.example.com:8080\"]
to = \"web/http\"
[route.\"f.example.com//x/\"]
to = \"web/http\"
[route.\"*.example.com\"]
";
    assert_snapshot!(check_whole(text), @r#"
    error[E0108]: `route."a.example.com".to` is a door of a process, like `web/http`
     --> toft.toml:8:7
      |
    8 | to = "web"
      |       ^^^ the door is missing

    error[E0109]: there is no door `web/htpp`
      --> toft.toml:10:11
       |
    10 | to = "web/htpp"
       |           ^^^^ no such door in this app
       |
       = help: did you mean `http`?

    error[E0109]: there is no door `idle/http`
      --> toft.toml:12:12
       |
    12 | to = "idle/http"
       |            ^^^^ no such door in this app
       |
       = help: `idle` has no doors; give it one: `[process.idle.listen]` with `http = 8080`

    error[E0114]: `web/dns` is not a door for TCP or a unix socket
      --> toft.toml:14:11
       |
     4 | listen = { http = 80, dns = "udp:53" }
       |                       --- it listens on `udp:53`
    ...
    14 | to = "web/dns"
       |           ^^^ leads here

    error[E0105]: `X-User` cannot be a header's name
      --> toft.toml:15:24
       |
    15 | balance = "hash:header:X-User"
       |                        ^^^^^^ a–z, 0–9, `-` and `_`, in lower case
       |
       = help: did you mean `x-user`?

    error[E0108]: `route."tcp:dns"` needs a port number
      --> toft.toml:16:13
       |
    16 | [route."tcp:dns"]
       |             ^^^ not a number

    error[E0114]: `web/http` is not a door on a unix socket
      --> toft.toml:18:23
       |
     4 | listen = { http = 80, dns = "udp:53" }
       |            ---- it listens on `80`
    ...
    18 | balance = "picker:web/http"
       |                       ^^^^ leads here

    error[E0114]: `web/http` is not a door for UDP
      --> toft.toml:20:11
       |
     4 | listen = { http = 80, dns = "udp:53" }
       |            ---- it listens on `80`
    ...
    20 | to = "web/http"
       |           ^^^^ leads here

    error[E0105]: `eth 0` cannot be an interface
      --> toft.toml:21:8
       |
    21 | on = ["eth 0", "eth1", "eth1"]
       |        ^^^^^ 1 to 15 characters, no space, `/` or `:`

    error[E0110]: "eth1" stands twice in `route."udp:53".on`
      --> toft.toml:21:24
       |
    21 | on = ["eth 0", "eth1", "eth1"]
       |                ------  ^^^^^^ and here again
       |                |
       |                here first

    error[E0108]: a route is a host, not a URL
      --> toft.toml:22:9
       |
    22 | [route."https://e.example.com/"]
       |         ^^^^^^^^^^^^^^^^^^^^^^ the scheme does not belong here
       |
       = help: did you mean `e.example.com`?

    error[E0105]: `E.example.com` cannot be a host name
      --> toft.toml:24:9
       |
    24 | [route."E.example.com"]
       |         ^^^^^^^^^^^^^ host names are written in lower case, not with `E`
       |
       = help: did you mean `e.example.com`?

    error[E0108]: a route by host has no port of its own
      --> toft.toml:26:23
       |
    26 | [route."f.example.com:8080"]
       |                       ^^^^ HTTP comes in at the machine's own ports
       |
       = help: write `[route."f.example.com"]`

    error[E0108]: a route's path is made of plain segments
      --> toft.toml:28:22
       |
    28 | [route."f.example.com//x/"]
       |                      ^^^^ not in this form
       |
       = help: like `/api` or `/api/v2`; the host alone is for every path
       = help: did you mean `/x`?

    error[E0104]: `[route."*.example.com"]` does not say `to`
      --> toft.toml:30:8
       |
    30 | [route."*.example.com"]
       |        ^^^^^^^^^^^^^^^ `to` is missing here

    error[E0108]: a route names one host
      --> toft.toml:30:9
       |
    30 | [route."*.example.com"]
       |         ^^^^^^^^^^^^^ no wildcard here
    "#);
}

#[test]
fn a_mistake_in_a_door_makes_none_of_what_leads_to_it() {
    let text = "app = \"a\"
[process.web]
run = \"a\"
ready = \"http:/x\"
listen = { http = 99999 }
[process.worker]
run = 3
listen = \"8080\"
[process.third]
[route.\"a.example.com\"]
to = \"web/http\"
[route.\"b.example.com\"]
to = \"worker/http\"
";
    assert_snapshot!(check(text), @r#"
    error[E0107]: `process.web.listen.http` is a port from 1 to 65535
     --> toft.toml:5:19
      |
    5 | listen = { http = 99999 }
      |                   ^^^^^ not a port

    error[E0103]: `process.worker.run` is a text, like `"python3 app.py"`
     --> toft.toml:7:7
      |
    7 | run = 3
      |       ^ this is a whole number

    error[E0103]: `process.worker.listen` is a table of keys
     --> toft.toml:8:10
      |
    8 | listen = "8080"
      |          ^^^^^^ this is a text

    error[E0104]: `[process.third]` does not say `run`
     --> toft.toml:9:10
      |
    9 | [process.third]
      |          ^^^^^ `run` is missing here
    "#);
}

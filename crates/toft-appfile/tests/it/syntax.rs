//! Mistakes of syntax, each on its own.

use super::check;
use insta::assert_snapshot;

#[test]
fn every_statement_is_read_on_its_own() {
    let text = "app = \"a
process.web.run = 'x'
[process.web.limits
memory = 256MiB
cpu 3
pids = 1 2
[process.web.files]
/data = \"volume:x\"
[env]
A = \"1\"
A = \"2\"
";
    assert_snapshot!(check(text), @r#"
    error[E0101]: a text that does not end on its line
     --> toft.toml:1:9
      |
    1 | app = "a
      |         ^ the closing quote is missing

    error[E0101]: a header that is not closed
     --> toft.toml:3:20
      |
    3 | [process.web.limits
      |                    ^ the `]` is missing

    error[E0101]: a text stands in quotes
     --> toft.toml:4:10
      |
    4 | memory = 256MiB
      |          ^^^^^^ quotes are missing here
      |
      = help: did you mean `"256MiB"`?

    error[E0101]: a key without a value
     --> toft.toml:5:5
      |
    5 | cpu 3
      |     ^ `= …` is missing here

    error[E0101]: something follows the value
     --> toft.toml:6:8
      |
    6 | pids = 1 2
      |        ^^^ one value, or a list in `[ ]`

    error[E0101]: a key with this character stands in quotes
     --> toft.toml:8:1
      |
    8 | /data = "volume:x"
      | ^ not part of a bare key
      |
      = help: a key and its value are joined by `=`: `count = 2`

    error[E0110]: `A` stands twice in one table
      --> toft.toml:11:1
       |
    10 | A = "1"
       | - here first
    11 | A = "2"
       | ^ and here again
    "#);
}

#[test]
fn what_has_no_end_ends_at_the_next_statement() {
    let text = "app = \"a\"
[process.web]
run = \"\"\"x
count = \"many\"
[process.worker]
run = \"y\"
use = [\"certs\",
  \"python3\"
env = { A = \"1\"
ready = \"http\"
";
    assert_snapshot!(check(text), @r#"
    error[E0101]: this `"""` has no end
     --> toft.toml:3:7
      |
    3 | run = """x
      |       ^^^ the `"""` is missing

    error[E0103]: `process.web.count` is a whole number, or a range, like `"0..10"`
     --> toft.toml:4:9
      |
    4 | count = "many"
      |         ^^^^^^ this is a text, and no range

    error[E0101]: this `[` has no end
     --> toft.toml:7:7
      |
    7 | use = ["certs",
      |       ^ the `]` is missing

    error[E0101]: this `{` has no end
     --> toft.toml:9:7
      |
    9 | env = { A = "1"
      |       ^ the `}` is missing

    error[E0108]: `process.worker.ready` cannot be `http`
      --> toft.toml:10:10
       |
    10 | ready = "http"
       |          ^^^^ not one of its words
       |
       = help: it is `tcp`, `http:/`, `notify` or `run:`
       = help: did you mean `http:/`?
    "#);
}

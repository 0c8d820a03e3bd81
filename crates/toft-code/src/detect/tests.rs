//! Folders in, app files out.

use super::{DetectError, detect};
use insta::assert_snapshot;

/// Makes a folder named `name` from lines `path: contents` and shows what is detected.
fn check(name: &str, files: &[(&str, &str)]) -> String {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    for (path, contents) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    match detect(&folder) {
        Ok(found) => {
            found.text.parse::<toml::Table>().expect("the text is TOML");
            format!("{}\n---\n{}", found.words, found.text)
        }
        Err(error) => {
            let folder = folder.to_str().unwrap();
            let text = format!(
                "{error}\n{}\n{}\n{}",
                error.why(),
                error.evidence(),
                error.next()
            );
            text.replace(folder, "FOLDER")
        }
    }
}

#[test]
fn a_rust_package() {
    let text = check(
        "x",
        &[
            ("Cargo.toml", "[package]\nname = \"guest_book\"\n"),
            ("src/main.rs", "fn main() {}"),
        ],
    );
    assert_snapshot!(text, @r##"
    Rust app: Cargo.toml, binary `guest_book`; builds with cargo build --release; starts with target/release/guest_book
    ---
    # Rust app: Cargo.toml, binary `guest_book`
    #   Cargo.toml  package `guest_book`, binary `guest_book`
    # Save this as toft.toml to change it.

    app = "guest-book"

    [build]
    run = "cargo build --release"
    use = ["rust", "certs"]

    [process.web]
    run = "target/release/guest_book"

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn a_rust_workspace_with_one_server() {
    let text = check(
        "x",
        &[
            ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
            (
                ".cargo/config.toml",
                "[build]\ntarget = \"x86_64-unknown-linux-musl\"\n",
            ),
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("crates/a/src/lib.rs", ""),
            (
                "crates/b/Cargo.toml",
                "[package]\nname = \"b\"\n[[bin]]\nname = \"shop\"\npath = \"src/main.rs\"\n",
            ),
            ("crates/b/src/main.rs", "fn main() {}"),
        ],
    );
    assert_snapshot!(text, @r##"
    Rust app: Cargo.toml, binary `shop`; builds with cargo build --release; starts with target/x86_64-unknown-linux-musl/release/shop
    ---
    # Rust app: Cargo.toml, binary `shop`
    #   Cargo.toml  package `b`, binary `shop`
    # Save this as toft.toml to change it.

    app = "shop"

    [build]
    run = "cargo build --release"
    use = ["rust", "certs"]

    [process.web]
    run = "target/x86_64-unknown-linux-musl/release/shop"

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn a_rust_package_with_two_binaries_asks() {
    let text = check(
        "x",
        &[
            ("Cargo.toml", "[package]\nname = \"x\"\n"),
            ("src/bin/one.rs", "fn main() {}"),
            ("src/bin/two/main.rs", "fn main() {}"),
        ],
    );
    assert_snapshot!(text, @r##"
    FOLDER is a Rust folder, but what to start in it is not clear
    more than one binary could be the one that serves
    it holds one, two
    name it: printf 'web: target/release/one\n' > Procfile
    "##);
}

#[test]
fn python_with_requirements() {
    let text = check(
        "Quotes & Co",
        &[
            ("requirements.txt", "# web\nbottle==0.13.4\n"),
            ("app.py", "print(1)\n"),
        ],
    );
    assert_snapshot!(text, @r##"
    Python app: requirements.txt, app.py; builds with python3 -m pip install --upgrade -r requirements.txt --target lib; starts with python3 app.py
    ---
    # Python app: requirements.txt, app.py
    #   requirements.txt  1 line
    #   app.py            is started
    # Save this as toft.toml to change it.

    app = "quotes-co"

    [env]
    PYTHONUNBUFFERED = "1"
    PYTHONDONTWRITEBYTECODE = "1"
    PYTHONPATH = "/app/lib"

    [build]
    run = "python3 -m pip install --upgrade -r requirements.txt --target lib"
    use = ["python3", "certs"]

    [process.web]
    run = "python3 app.py"
    use = ["python3"]

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn python_behind_a_server_of_its_own() {
    let text = check(
        "shop",
        &[
            ("requirements.txt", "Flask>=3\ngunicorn[gthread]\n"),
            ("main.py", "app = Flask(__name__)\n"),
        ],
    );
    assert_snapshot!(text, @r##"
    Python app: requirements.txt, main.py; builds with python3 -m pip install --upgrade -r requirements.txt --target lib; starts with python3 -m gunicorn --bind 0.0.0.0:8080 main:app
    ---
    # Python app: requirements.txt, main.py
    #   requirements.txt  2 lines
    #   main.py           is started
    # Save this as toft.toml to change it.

    app = "shop"

    [env]
    PYTHONUNBUFFERED = "1"
    PYTHONDONTWRITEBYTECODE = "1"
    PYTHONPATH = "/app/lib"

    [build]
    run = "python3 -m pip install --upgrade -r requirements.txt --target lib"
    use = ["python3", "certs"]

    [process.web]
    run = "python3 -m gunicorn --bind 0.0.0.0:8080 main:app"
    use = ["python3"]

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn node_with_a_lock_and_a_simple_start() {
    let text = check(
        "x",
        &[
            (
                "package.json",
                r#"{"name":"@me/chat","scripts":{"start":"node server.js"},"dependencies":{"ws":"8"}}"#,
            ),
            ("package-lock.json", "{}"),
        ],
    );
    assert_snapshot!(text, @r##"
    Node app: package.json; builds with npm ci; starts with node server.js
    ---
    # Node app: package.json
    #   package.json  scripts.start is `node server.js`
    # Save this as toft.toml to change it.

    app = "chat"

    [build]
    run = "npm ci"
    use = ["node", "shell", "certs"]

    [process.web]
    run = "node server.js"
    use = ["node"]

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn node_with_a_build() {
    let text = check(
        "x",
        &[(
            "package.json",
            r#"{"name":"web","scripts":{"start":"next start","build":"next build"},"dependencies":{"next":"16"}}"#,
        )],
    );
    assert_snapshot!(text, @r##"
    Node app: package.json; builds with sh -c 'npm install && npm run build'; starts with npm start
    ---
    # Node app: package.json
    #   package.json  scripts.start is `next start`
    # Save this as toft.toml to change it.

    app = "web"

    [build]
    run = "sh -c 'npm install && npm run build'"
    use = ["node", "shell", "certs"]

    [process.web]
    run = "npm start"
    use = ["node", "shell"]

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn go_with_a_command() {
    let text = check(
        "x",
        &[
            ("go.mod", "module example.org/tools/bell/v2\n\ngo 1.24\n"),
            ("cmd/bell/main.go", "package main\n"),
        ],
    );
    assert_snapshot!(text, @r##"
    Go app: go.mod, module `example.org/tools/bell/v2`; builds with go build -o bin/bell ./cmd/bell; starts with bin/bell
    ---
    # Go app: go.mod, module `example.org/tools/bell/v2`
    #   go.mod  module `example.org/tools/bell/v2`, command `./cmd/bell`
    # Save this as toft.toml to change it.

    app = "bell"

    [build]
    run = "go build -o bin/bell ./cmd/bell"
    use = ["go", "certs"]

    [process.web]
    run = "bin/bell"

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn static_pages() {
    assert_snapshot!(check("My_Site", &[("index.html", "<!doctype html>")]), @r##"
    static pages: index.html; starts with toft static
    ---
    # static pages: index.html
    #   index.html  the first page
    # Save this as toft.toml to change it.

    app = "my-site"

    [process.web]
    run = "toft static"
    use = ["toft"]

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn a_procfile_says_what_is_started() {
    let text = check(
        "shop",
        &[
            (
                "Procfile",
                "# two\nweb: gunicorn app:app --bind 0.0.0.0:$PORT\nworker: python3 work.py 'a b'\n",
            ),
            ("requirements.txt", "gunicorn\n"),
            ("app.py", ""),
        ],
    );
    assert_snapshot!(text, @r##"
    Python app: requirements.txt, app.py; builds with python3 -m pip install --upgrade -r requirements.txt --target lib; starts with sh -c 'exec python3 -m gunicorn app:app --bind 0.0.0.0:$PORT'
    ---
    # Python app: requirements.txt, app.py
    #   requirements.txt  1 line
    #   app.py            is started
    #   Procfile          starts `web`, `worker`
    # Save this as toft.toml to change it.

    app = "shop"

    [env]
    PYTHONUNBUFFERED = "1"
    PYTHONDONTWRITEBYTECODE = "1"
    PYTHONPATH = "/app/lib"

    [build]
    run = "python3 -m pip install --upgrade -r requirements.txt --target lib"
    use = ["python3", "certs"]

    [process.web]
    run = "sh -c 'exec python3 -m gunicorn app:app --bind 0.0.0.0:$PORT'"
    use = ["python3", "shell"]

    [process.web.listen]
    http = 8080

    [process.worker]
    run = "python3 work.py 'a b'"
    use = ["python3"]
    "##);
}

#[test]
fn a_procfile_alone() {
    let text = check("x", &[("Procfile", "web: ./serve --fast\n"), ("serve", "")]);
    assert_snapshot!(text, @r##"
    app with a Procfile; starts with ./serve --fast
    ---
    # app with a Procfile
    #   Procfile  starts `web`
    # Save this as toft.toml to change it.

    app = "x"

    [process.web]
    run = "./serve --fast"

    [process.web.listen]
    http = 8080
    "##);
}

#[test]
fn an_unknown_folder_says_what_it_saw() {
    assert_snapshot!(check("x", &[("notes.md", ""), ("data.csv", "")]), @r##"
    nothing in FOLDER says how to run it
    a folder without toft.toml is recognised by Cargo.toml, go.mod, package.json, requirements.txt, pyproject.toml, app.py, main.py, index.html or a Procfile
    it holds data.csv, notes.md
    say how to start it: printf 'web: ./start\n' > FOLDER/Procfile
    "##);
}

#[test]
fn a_broken_manifest_names_its_line() {
    assert_snapshot!(check("x", &[("Cargo.toml", "[package]\nname = \n")]), @r##"
    cannot read FOLDER/Cargo.toml
    line 2: string values must be quoted, expected literal string
    FOLDER/Cargo.toml
    correct FOLDER/Cargo.toml
    "##);
    assert_snapshot!(check("x", &[("Procfile", "web: a\nnonsense\n")]), @r##"
    cannot read FOLDER/Procfile
    line 2: a line is `name: command`
    FOLDER/Procfile
    correct FOLDER/Procfile
    "##);
}

#[test]
fn a_missing_folder_is_said() {
    let error = detect("/nonexistent/folder".as_ref()).unwrap_err();
    assert!(matches!(error, DetectError::Read { .. }));
}

#[test]
fn a_name_steers_no_terminal() {
    let evil = "a\nerror: all is lost\x1b[2J";
    let text = check(evil, &[(&format!("{evil}.txt"), "")]);
    let text = text.replace(
        &evil.replace('\n', "\\n").replace('\x1b', "\\u{1b}"),
        "EVIL",
    );
    assert!(
        !text.contains('\x1b') && text.lines().count() == 4,
        "{text}"
    );
    assert!(text.contains("it holds EVIL.txt"), "{text}");
    let text = check(
        "x",
        &[(
            "package.json",
            "{\"scripts\":{\"start\":\"node a.js\\u001b[2J\\nx\"}}",
        )],
    );
    assert!(!text.contains('\x1b'), "{text}");
    let text = check("x", &[("Procfile", "web: ./start \x1b[2J\n")]);
    assert!(!text.contains('\x1b'), "{text}");
}

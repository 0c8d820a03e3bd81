//! tmp
use toft_appfile::*;
struct F;
impl Folder for F {
    fn exists(&self, p: &str) -> bool {
        p == "pages"
    }
    fn is_dir(&self, _: &str) -> bool {
        true
    }
}
fn show(name: &str, text: &str, o: &Overrides) {
    println!("===== {name}");
    match decode(
        Source {
            path: "toft.toml",
            text,
        },
        o,
        &F,
    ) {
        Ok(d) => println!("GOOD\n{}{}", d.explained, d.warnings),
        Err(e) => println!("{e}"),
    }
}
#[test]
fn x() {
    let o = Overrides::default();
    let six = r#"app = "guestbook"

[process.web]
run = "./guestbook"
conut = 2
count = "two"

[process.web.listen]
http = 8080
admin = 8080

[process.web.files]
"/srv" = "read:../shared"

[process.web.limits]
memory = "256M"

[route."guestbook.example.com"]
to = "wbe/http"
"#;
    show("six", six, &o);
    show(
        "six+syntax",
        &six.replace(
            "conut = 2\n",
            "conut = 2\nready = tcp\nuse = [\"python3\"\n",
        ),
        &o,
    );
    let six2 = six.replace("admin = 8080\n", "").replace("[route.", "[route.\"tcp:5432\"]\nto = \"web/http\"\n\n[route.\"tcp:5432\"]\nto = \"web/http\"\non = [\"eth0\"]\n[route.");
    show("six2", &six2, &o);
    show("empty", "", &o);
    show("only comment", "# nothing\n", &o);
    show(
        "names",
        "app = \"My_App\"\n[process.Web]\nrun = \"a\"\n[env]\nA-B = \"x\"\nPORT = 8080\n[process.web]\nrun = \"python3 app.py && echo\"\nready=\"/health\"\nstop = {signal=\"sigterm\", grace = 10}\nnetwork=\"hsot\"\nrestart=\"always\"\nbudgets=\"best-effort\"",
        &o,
    );
    show(
        "doors",
        "app = \"a\"\n[process.web]\nrun = \"a\"\nready=\"http:/x\"\n[process.web.listen]\nhttp=\"8080\"\nhttps=0\nx=\"unx:/a\"\ny={prt=1}\n[process.web.connect]\na=\"https://x.com/y\"\nb=\"localhost:1\"\nc=\"x.com\"\nd=\"x.com:https\"\ne=\"web/htp\"\nf=\"app:b\"\ng=\"127.1.0.01:4\"\n[process.w2]\nrun=\"b\"\nready=\"tcp\"\n[process.w2.listen]\nhttp=9\n",
        &o,
    );
    show(
        "files",
        "app = \"a\"\n[process.web]\nrun = \"a\"\n[process.web.files]\n\"data\" = \"volume:upload\"\n\"/proc/x\"=\"read:/etc\"\n\"/d/\"=\"red:./x\"\n\"/e\"=\"write:~/x\"\n\"/f\"=\"./x\"\n\"/g\"=\"scratch:12\"\n\"/h\"=\"read:a/../b\"\n\"/i\"=\"read:./gone\"\n[volume.uploads]\nsize=5\nfor=\"app\"\n",
        &o,
    );
    show(
        "overrides",
        "app = \"a\"\n[process.web]\nrun = \"a\"\nenv={X=\"1\"}\n",
        &Overrides {
            set: vec![
                "process.web.count=lots".into(),
                "process.wbe.count=3".into(),
                "process.web.limits.memory=256M".into(),
                "nonsense".into(),
                "process.web.run.x=3".into(),
                "route.\"a.com\".to=\"web/htt".into(),
                "process.web.conut=1".into(),
            ],
            env: vec!["1X=3".into(), "Y".into()],
            offset: Some("70000".into()),
        },
    );
    show(
        "overrides ok",
        "app = \"a\"\n[process.web]\nrun = \"a\"\nenv={X=\"1\"}\n[volume.v]\n[process.web.files]\n\"/x\"=\"read:./gone\"",
        &Overrides {
            set: vec![
                "process.web.count=4".into(),
                "process.web.limits.memory=256MiB".into(),
                "process.web.run=python3 app.py".into(),
            ],
            env: vec!["X=3".into(), "Y=a=b".into()],
            offset: Some("100".into()),
        },
    );
    show(
        "syntax",
        "app = \"a\nprocess.web.run = 'x'\n[process.web.limits\nmemory = 256MiB\ncpu 3\npids = 1 2\n[process.web.files]\n/data = \"volume:x\"\n",
        &o,
    );
    show(
        "sched",
        "app=\"a\"\n[process.b]\nrun=\"a\"\n[process.c]\nrun=\"a\"\n[schedule.x]\nrun=\"a\"\nafter=\"y\"\nlike=\"d\"\n[schedule.y]\nrun=\"q\"\nafter=\"x\"\nat=\"61 2 * * mon-fry\"\nevery=\"1m\"\n[schedule.z]\nrun=\"x\"\nlike=\"b\"\n",
        &o,
    );
    println!(
        "{}",
        toft_appfile::decode(
            Source {
                path: "toft.toml",
                text: six
            },
            &o,
            &F
        )
        .unwrap_err()
        .render(true)
    );
}

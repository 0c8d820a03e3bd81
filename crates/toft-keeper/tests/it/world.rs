//! A keeper with its played roles, and what can be asked of the world around it.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use toft_link::Link;
use toft_model::instance::{InstanceSpec, LogSpec, Outcome, Stop};
use toft_model::machine::{Bounds, OuterListener};
use toft_model::message::{FromUp, ToUp, UpOrder};
use toft_model::sandbox::{Calls, Limits, Mount, Network, SandboxSpec, Source};
use toft_model::{Generation, InstanceId};
use toft_observe::ring::last_lines;

/// How long anything may take. Reached only by what is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who runs the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Plain,
}

/// A user id that nobody has.
const PLAIN_ID: u32 = 54_321;

/// A running keeper, its lifeline, and the played server's line.
pub(crate) struct World {
    pub(crate) keeper: Child,
    pub(crate) lifeline: Option<Link>,
    pub(crate) state: PathBuf,
    /// A folder that may be read, with a link in it that leads out.
    pub(crate) shared: PathBuf,
    api: Option<(BufReader<UnixStream>, UnixStream)>,
    heard: Vec<Value>,
    program: PathBuf,
    #[expect(dead_code, reason = "it is removed when the world ends")]
    folder: Option<tempfile::TempDir>,
}

/// Whether keepers can run here; says why not.
pub(crate) fn can_run(user: User) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    eprintln!("SKIPPED: a keeper as {user:?}: these tests change users and need root");
    false
}

/// Runs a test as root and as a plain user, as far as that is possible here.
pub(crate) fn both(test: fn(User)) {
    for user in [User::Root, User::Plain] {
        if can_run(user) {
            test(user);
        }
    }
}

impl World {
    pub(crate) fn new(user: User) -> Self {
        Self::with_listeners(user, &[])
    }

    pub(crate) fn with_listeners(user: User, listeners: &[OuterListener]) -> Self {
        let mut world = Self::bare(user);
        world.order(listeners);
        match world.hear_up() {
            ToUp::Running { api, .. } => assert_eq!(api, world.state.join("run/api.sock")),
            other => panic!("not running: {other:?}"),
        }
        world.connect();
        wait_until("two helpers, and three roles with their inits", || {
            world.descendants().len() == 8
        });
        world
    }

    /// A keeper that has not been given its order.
    pub(crate) fn bare(user: User) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("toft-it-")
            .tempdir()
            .unwrap();
        let state = folder.path().canonicalize().unwrap().join("state");
        std::fs::create_dir(&state).unwrap();
        // The plain user may not enter the folder of the build.
        let program = folder.path().canonicalize().unwrap().join("it");
        // By another process: a copy that is open for writing here would be inherited by whatever
        // another test starts at this moment, and then be too busy to run.
        let us = std::env::current_exe().unwrap();
        assert!(
            Command::new("cp")
                .arg(us)
                .arg(&program)
                .status()
                .unwrap()
                .success()
        );
        if user == User::Plain {
            for path in [folder.path(), &state, &program] {
                std::os::unix::fs::chown(path, Some(PLAIN_ID), Some(PLAIN_ID)).unwrap();
            }
        }
        let shared = folder.path().canonicalize().unwrap().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::os::unix::fs::symlink("/etc", shared.join("way-out")).unwrap();
        let (keeper, lifeline) = start_keeper(&program, user);
        Self {
            keeper,
            lifeline: Some(lifeline),
            shared,
            state,
            api: None,
            heard: Vec::new(),
            program,
            folder: Some(folder),
        }
    }

    /// Another keeper on the same state, after the first one ended.
    pub(crate) fn restart(&mut self, user: User) {
        let (keeper, lifeline) = start_keeper(&self.program, user);
        self.keeper = keeper;
        self.lifeline = Some(lifeline);
        self.heard.clear();
        self.order(&[]);
        let running = self.hear_up();
        assert!(matches!(running, ToUp::Running { .. }), "{running:?}");
        self.connect();
    }

    /// Another keeper on the same state, while this one lives.
    pub(crate) fn beside(&self, user: User) -> Self {
        let (keeper, lifeline) = start_keeper(&self.program, user);
        Self {
            keeper,
            lifeline: Some(lifeline),
            state: self.state.clone(),
            shared: self.shared.clone(),
            api: None,
            heard: Vec::new(),
            program: self.program.clone(),
            folder: None,
        }
    }

    pub(crate) fn program_path(&self) -> String {
        self.program.display().to_string()
    }

    pub(crate) fn order(&mut self, listeners: &[OuterListener]) {
        let order = UpOrder {
            state: self.state.clone(),
            bounds: Bounds {
                read: vec![self.program.clone(), self.shared.clone()],
                write: vec![],
                network_host: false,
            },
            listeners: listeners.to_vec(),
        };
        self.lifeline
            .as_mut()
            .unwrap()
            .send(&order, vec![])
            .unwrap();
    }

    /// The next thing that the keeper says to `up`.
    pub(crate) fn hear_up(&mut self) -> ToUp {
        let within = PATIENCE.as_millis() as u32;
        let lifeline = self.lifeline.as_mut().expect("the lifeline was cut");
        lifeline
            .recv_within(within)
            .unwrap()
            .expect("the keeper says nothing")
            .0
    }

    /// Connects to the played server, also after it was started again.
    pub(crate) fn connect(&mut self) {
        let stream = UnixStream::connect(self.state.join("run/api.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.api = Some((BufReader::new(stream.try_clone().unwrap()), stream));
    }

    pub(crate) fn say(&mut self, to: &str, say: &impl serde::Serialize) {
        let line = json!({"to": to, "say": say});
        let stream = &mut self.api.as_mut().unwrap().1;
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the first thing said that `pick` wants; everything else is kept for later.
    pub(crate) fn hear<T>(&mut self, what: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        if let Some(at) = self.heard.iter().position(|value| pick(value).is_some()) {
            return pick(&self.heard.remove(at)).unwrap();
        }
        loop {
            let mut line = String::new();
            let got = self.api.as_mut().unwrap().0.read_line(&mut line);
            assert!(
                matches!(got, Ok(n) if n > 0),
                "waiting for {what}: {got:?}, heard {:#?}",
                self.heard
            );
            let value: Value = serde_json::from_str(&line).unwrap();
            if let Some(found) = pick(&value) {
                return found;
            }
            self.heard.push(value);
        }
    }

    pub(crate) fn start(&mut self, spec: &InstanceSpec) {
        self.say("keeper", &json!({"start": spec}));
    }

    pub(crate) fn started(&mut self, id: &InstanceId) -> Value {
        self.hear(&format!("the start of {id}"), |value| {
            let said = &value["say"]["started"];
            (said["id"] == json!(id)).then(|| said.clone())
        })
    }

    pub(crate) fn refused(&mut self, id: &InstanceId) -> Value {
        self.pair("refused", id)
    }

    pub(crate) fn exited(&mut self, id: &InstanceId) -> Outcome {
        serde_json::from_value(self.pair("exited", id)).unwrap()
    }

    /// What was said in a message of two parts: whose, and what.
    pub(crate) fn pair(&mut self, kind: &str, id: &InstanceId) -> Value {
        self.hear(&format!("{kind} of {id}"), |value| {
            let said = &value["say"][kind];
            (value["from"] == "keeper" && said[0] == json!(id)).then(|| said[1].clone())
        })
    }

    /// How often the played server heard this of this instance, up to now.
    pub(crate) fn heard_so_far(&self, kind: &str, id: &InstanceId) -> usize {
        let same = |value: &&Value| value["say"][kind][0] == json!(id);
        self.heard.iter().filter(same).count()
    }

    /// The lines in its ring.
    pub(crate) fn lines(&self, id: &InstanceId) -> Vec<String> {
        let path = self
            .state
            .join("logs")
            .join(toft_model::frame::ring_path(id));
        let frames = last_lines(&path, Some(id.generation.0), usize::MAX).unwrap();
        frames
            .iter()
            .map(|f| String::from_utf8_lossy(&f.text).into_owned())
            .collect()
    }

    /// Waits until its ring has a line that holds `text`.
    pub(crate) fn wait_for_line(&self, id: &InstanceId, text: &str) {
        wait_until(&format!("a line {text:?} of {id}"), || {
            let path = self
                .state
                .join("logs")
                .join(toft_model::frame::ring_path(id));
            path.exists() && self.lines(id).iter().any(|line| line.contains(text))
        });
    }

    /// An instance of this binary as `app`, with these words.
    pub(crate) fn app(&self, name: &str, generation: u64, words: &[&str]) -> InstanceSpec {
        let mut argv = vec!["/it".to_owned(), "app".to_owned()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        let bind = Source::Bind {
            path: self.program.clone(),
            write: false,
            exec: true,
            owner: None,
        };
        InstanceSpec {
            id: id(name, generation),
            argv,
            env: vec![("PATH".into(), "/".into())],
            workdir: "/".into(),
            sandbox: SandboxSpec {
                hostname: name.into(),
                view: vec![Mount {
                    target: "/it".into(),
                    source: bind,
                }],
                own: vec![],
                run_files: vec![],
                network: Network::Doors,
                calls: Calls::App,
                limits: Limits::default(),
            },
            listen: vec![],
            stop: Stop {
                signal: libc::SIGTERM,
                grace: Duration::from_secs(20),
            },
            log: LogSpec::default(),
            notify: false,
        }
    }

    /// Ends in good order and sees that the keeper agrees.
    pub(crate) fn end(mut self) {
        self.lifeline
            .as_mut()
            .unwrap()
            .send(&FromUp::End, vec![])
            .unwrap();
        loop {
            match self.hear_up() {
                ToUp::Ended => break,
                ToUp::RoleEnded(..) => {}
                other => panic!("instead of the end: {other:?}"),
            }
        }
        assert!(self.keeper.wait().unwrap().success());
    }

    /// Processes whose keeper this is, directly or not.
    pub(crate) fn descendants(&self) -> BTreeSet<u32> {
        descendants(self.keeper.id())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed leaves the keeper running; its children die with it.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

pub(crate) fn id(name: &str, generation: u64) -> InstanceId {
    InstanceId {
        app: name.parse().unwrap(),
        process: "web".parse().unwrap(),
        index: 0,
        generation: Generation(generation),
    }
}

fn start_keeper(program: &Path, user: User) -> (Child, Link) {
    let (ours, theirs) = toft_link::pair().unwrap();
    let raw = theirs.as_raw_fd();
    let mut command = Command::new(program);
    command.arg("keeper").current_dir("/").process_group(0);
    if user == User::Plain {
        command.uid(PLAIN_ID).gid(PLAIN_ID);
    }
    // SAFETY: one system call on a descriptor that is open in the child; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if raw == 3 {
                libc::fcntl(3, libc::F_SETFD, 0);
            } else {
                libc::dup2(raw, 3);
            }
            Ok(())
        });
    }
    (command.spawn().unwrap(), ours)
}

/// Waits for a fact.
#[expect(clippy::disallowed_methods, reason = "a deadline for what never comes")]
pub(crate) fn wait_until(what: &str, mut fact: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !fact() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All processes: parent of each.
fn parents() -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let rest = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) = rest
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
        {
            found.insert(pid, parent);
        }
    }
    found
}

pub(crate) fn descendants(of: u32) -> BTreeSet<u32> {
    let parents = parents();
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (pid, parent) in &parents {
            if *parent == of || found.contains(parent) {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Whether a process runs. One that has ended and waits to be reaped by the machine's init does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    rest.split_whitespace()
        .next()
        .is_some_and(|state| state != "Z")
}

/// Cgroups that a keeper with this process id made, in all hierarchies.
pub(crate) fn cgroups_of(keeper: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry
                .file_name()
                .to_string_lossy()
                .contains(&format!("toft-{keeper}-"))
            {
                found.push(entry.path());
            }
            folders.push(entry.path());
        }
    }
    found
}

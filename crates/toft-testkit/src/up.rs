//! The real `toft up`, driven as a person would: in a terminal or through pipes.

use crate::user::Plain;
use crate::wait;
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The binary under test: `TOFT_BIN`, or the one that was built beside the running test.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TOFT_BIN") {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe().context("find the test's own path")?;
    let found = test
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("toft"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no `toft` beside {}; build it or set TOFT_BIN",
            test.display()
        )
    })
}

/// How `toft up` is to be started.
#[derive(Debug)]
pub struct Options<'a> {
    /// The binary.
    pub binary: PathBuf,
    /// Arguments after `toft`.
    pub args: Vec<String>,
    /// Working folder.
    pub folder: PathBuf,
    /// In a terminal rather than with pipes.
    pub terminal: bool,
    /// As this user rather than as oneself.
    pub user: Option<&'a Plain>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// A folder that it inherits an open descriptor of, as from a careless caller.
    pub left_open: Option<PathBuf>,
}

impl<'a> Options<'a> {
    /// `toft up FOLDER --http PORT` through pipes.
    pub fn up(binary: &Path, folder: &Path, port: u16) -> Self {
        let args =
            ["up", &folder.to_string_lossy(), "--http", &port.to_string()].map(str::to_owned);
        Self {
            binary: binary.to_owned(),
            args: args.to_vec(),
            folder: folder.to_owned(),
            terminal: false,
            user: None,
            env: Vec::new(),
            left_open: None,
        }
    }

    /// More arguments.
    pub fn args<const N: usize>(mut self, more: [&str; N]) -> Self {
        self.args.extend(more.map(str::to_owned));
        self
    }

    /// In a terminal.
    pub fn in_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// As this user.
    pub fn by(mut self, user: Option<&'a Plain>) -> Self {
        self.user = user;
        self
    }

    /// With an open descriptor of this folder.
    pub fn leaving_open(mut self, folder: &Path) -> Self {
        self.left_open = Some(folder.to_owned());
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Up> {
        let mut command = self.command();
        let left = self
            .left_open
            .as_ref()
            .map(|folder| leave_open(&mut command, folder))
            .transpose()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let terminal = if self.terminal {
            Some(attach_terminal(&mut command)?)
        } else {
            None
        };
        if terminal.is_none() {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        drop(left);
        drop(command); // It holds the other end of the terminal.
        let terminal = terminal
            .map(|master| Terminal::follow(master, &said))
            .transpose()?;
        let mut pipes = Vec::new();
        pipes.extend(child.stdout.take().map(|pipe| follow(pipe, &said)));
        pipes.extend(child.stderr.take().map(|pipe| follow(pipe, &said)));
        Ok(Up {
            child,
            terminal,
            pipes,
            said,
            status: None,
        })
    }

    fn command(&self) -> Command {
        let mut command = match self.user {
            Some(user) => user.command(&self.binary),
            None => {
                let mut command = Command::new(&self.binary);
                command.env_clear().env("LANG", "C.UTF-8");
                for name in [
                    "PATH",
                    "HOME",
                    "CARGO_HOME",
                    "RUSTUP_HOME",
                    "RUSTUP_TOOLCHAIN",
                ] {
                    if let Some(value) = std::env::var_os(name) {
                        command.env(name, value);
                    }
                }
                command
            }
        };
        command
            .args(&self.args)
            .current_dir(&self.folder)
            .envs(self.env.iter().cloned());
        if self.terminal {
            command.env("TERM", "xterm-256color");
        }
        command
    }
}

/// A running `toft up`.
#[derive(Debug)]
pub struct Up {
    child: Child,
    terminal: Option<Terminal>,
    pipes: Vec<JoinHandle<()>>,
    said: Arc<Mutex<Vec<u8>>>,
    status: Option<ExitStatus>,
}

impl Up {
    /// Process id of the command that the person started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far, both streams, without colours.
    pub fn text(&self) -> String {
        let bytes = lock(&self.said).clone();
        without_colours(&String::from_utf8_lossy(&bytes)).replace('\r', "")
    }

    /// Everything it printed so far, as it came.
    pub fn raw(&self) -> Vec<u8> {
        lock(&self.said).clone()
    }

    /// Waits for a line that holds `words`, and returns it. An end before that is an error.
    pub fn wait_for(&mut self, within: Duration, words: &str) -> Result<String> {
        self.wait_for_after(0, within, words)
    }

    /// The same among what is printed after the first `from` bytes of [`Up::text`].
    pub fn wait_for_after(&mut self, from: usize, within: Duration, words: &str) -> Result<String> {
        let what = format!("`{words}` on the screen");
        let found = wait::until(within, &what, || {
            let ended = self.ended();
            let text = self.text();
            let rest = text.get(from..).unwrap_or_default();
            match rest.lines().find(|line| line.contains(words)) {
                Some(line) => Some(Ok(line.to_owned())),
                None => ended.map(Err),
            }
        });
        match found {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(status)) => bail!(
                "it ended ({status}) without `{words}`; it said:\n{}",
                self.text()
            ),
            Err(late) => Err(late.context(format!("it said:\n{}", self.text()))),
        }
    }

    /// Waits until it serves; the URL that it names.
    pub fn url(&mut self, within: Duration) -> Result<String> {
        let line = self.wait_for(within, "serving http://")?;
        let start = line.find("http://").expect("it was just found");
        let url = line[start..].split_whitespace().next().unwrap_or_default();
        Ok(url.trim_end_matches(['/', '.', ',']).to_owned())
    }

    /// Ctrl-C: typed where there is a terminal, else SIGINT.
    pub fn interrupt(&mut self) -> Result<()> {
        match &mut self.terminal {
            Some(terminal) => Ok(terminal.keys.write_all(b"\x03")?),
            None => self.signal(Signal::INT),
        }
    }

    /// Sends a signal to the command itself, to nothing else of it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process id")?, signal)?)
    }

    /// Closes the terminal, as a closed window does.
    pub fn hang_up(&mut self) -> Result<()> {
        let terminal = self.terminal.take().context("it has no terminal")?;
        terminal.close();
        Ok(())
    }

    /// Its exit status, once it ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            if self.status.is_some() {
                self.take_the_rest();
            }
        }
        self.status
    }

    /// What it said last may still be on its way. Whoever else holds its output is not waited for.
    fn take_the_rest(&self) {
        let _ = wait::until(Duration::from_secs(2), "the end of its output", || {
            let terminal = self.terminal.iter().map(|terminal| &terminal.reader);
            let done = self
                .pipes
                .iter()
                .chain(terminal)
                .all(JoinHandle::is_finished);
            done.then_some(())
        });
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let ended = wait::until(within, "the end of `toft up`", || self.ended());
        ended.with_context(|| format!("it said:\n{}", self.text()))
    }

    /// Ctrl-C, and its end.
    pub fn end(mut self, within: Duration) -> Result<ExitStatus> {
        self.interrupt()?;
        self.wait(within)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may have ended in between; then there is nothing to do.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The side of a terminal at which the person sits.
#[derive(Debug)]
struct Terminal {
    keys: File,
    closer: OwnedFd,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// A thread takes the screen; it ends, and with it the terminal, when `closer` is dropped.
    fn follow(master: File, said: &Arc<Mutex<Vec<u8>>>) -> Result<Self> {
        let keys = master.try_clone()?;
        let (asked, closer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let said = Arc::clone(said);
        let reader = std::thread::spawn(move || read_screen(master, &asked, &said));
        Ok(Self {
            keys,
            closer,
            reader,
        })
    }

    fn close(self) {
        drop(self.keys);
        drop(self.closer);
        // A reader that panicked has dropped its side too.
        let _ = self.reader.join();
    }
}

fn read_screen(mut master: File, asked: &OwnedFd, said: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 16 << 10];
    loop {
        let mut polls = [
            PollFd::new(&master, PollFlags::IN),
            PollFd::new(asked, PollFlags::IN),
        ];
        if poll(&mut polls, None).is_err() {
            continue;
        }
        let (screen, closed) = (polls[0].revents(), polls[1].revents());
        if screen.contains(PollFlags::IN) {
            match master.read(&mut chunk) {
                Ok(n) if n > 0 => lock(said).extend(&chunk[..n]),
                _ => return,
            }
        } else if !closed.is_empty() || !screen.is_empty() {
            return;
        }
    }
}

/// Lets the command inherit an open folder. It must be started before the file is dropped.
pub(crate) fn leave_open(command: &mut Command, folder: &Path) -> Result<File> {
    let folder = File::open(folder)?;
    let fd = folder.as_raw_fd();
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    Ok(folder)
}

/// Makes a terminal, and the command its session's leader.
fn attach_terminal(command: &mut Command) -> Result<File> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .context("make a terminal")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = PathBuf::from(ptsname(&master, Vec::new())?.into_string()?);
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(&name)?;
    command
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave);
    // SAFETY: two system calls between fork and exec, on descriptor 0, which is the terminal by then.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    Ok(File::from(master))
}

/// A thread that takes what comes from a pipe until its end.
fn follow(mut from: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut chunk = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            lock(&said).extend(&chunk[..n]);
        }
    })
}

fn lock(said: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes out control sequences (ECMA-48: ESC `[` … final byte).
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' && chars.next_if_eq(&'[').is_some() {
            for c in chars.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn shell(script: &str) -> Options<'static> {
        let mut options = Options::up(Path::new("/bin/sh"), Path::new("/"), 1);
        options.args = vec!["-c".into(), script.into()];
        options
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn words_and_ends_are_seen_through_pipes() {
        let mut up = shell("echo '\x1b[1mserving\x1b[0m http://127.0.0.1:8080/'; exec sleep 100")
            .start()
            .unwrap();
        assert_eq!(up.url(SOON).unwrap(), "http://127.0.0.1:8080");
        up.interrupt().unwrap();
        assert_eq!(up.wait(SOON).unwrap().signal(), Some(2));
        let mut up = shell("echo wrong >&2; exit 3").start().unwrap();
        let error = up.url(SOON).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("wrong"),
            "{error}"
        );
    }

    #[test]
    fn a_terminal_sends_signals() {
        let script = "test -t 0 && test -t 1 && echo here; exec sleep 100";
        let mut up = shell(script).in_terminal().start().unwrap();
        up.wait_for(SOON, "here").unwrap();
        up.interrupt().unwrap();
        assert_eq!(up.wait(SOON).unwrap().signal(), Some(2));
        let mut up = shell(script).in_terminal().start().unwrap();
        up.wait_for(SOON, "here").unwrap();
        up.hang_up().unwrap();
        assert_eq!(up.wait(SOON).unwrap().signal(), Some(1));
    }
}

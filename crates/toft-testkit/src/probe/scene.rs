//! What the probes aim at: files, listeners and a process that no app was ever told of.

use crate::user::Plain;
use crate::wait;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What every listener of the scene says, so that a probe knows whom it reached.
pub const GREETING: &str = "this is the outside";
/// What the secret file says.
pub const SECRET: &str = "what no app was told";

/// Where everything is, as the probes see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Targets {
    /// Folder that no app declares, open to everybody.
    pub closet: PathBuf,
    /// Readable file in it.
    pub secret: PathBuf,
    /// File in it that may be spoiled.
    pub spare: PathBuf,
    /// Program in it.
    pub tool: PathBuf,
    /// File handle of the secret (name_to_handle_at(2)), type first, in four bytes.
    pub handle: Vec<u8>,
    /// A set-uid copy of the probe program, owned by root.
    pub suid: PathBuf,
    /// Where the app's code lies.
    pub app: PathBuf,
    /// A folder that the app may write.
    pub writable: PathBuf,
    /// A process of the same user that works in the closet and holds the secret open.
    pub victim: u32,
    /// Where in its memory the secret stands.
    pub victim_address: u64,
    /// Key of its System V shared memory, which holds the secret.
    pub shm_key: i32,
    /// Name of its POSIX message queue.
    pub queue: String,
    /// TCP port of a listener on 127.0.0.1, and on ::1.
    pub tcp: u16,
    /// UDP port of an answering socket on 127.0.0.1, and on ::1.
    pub udp: u16,
    /// An address of the machine other than loopback, where it has one, with a listener on `tcp`.
    pub machine: Option<IpAddr>,
    /// Stream listener with a path.
    pub unix_stream: PathBuf,
    /// Datagram socket with a path.
    pub unix_datagram: PathBuf,
    /// Stream listener with an abstract name.
    pub abstract_stream: String,
    /// Datagram socket with an abstract name.
    pub abstract_datagram: String,
    /// The cgroups that the machine's side stands in.
    pub cgroups: Vec<PathBuf>,
    /// A device of the machine.
    pub device: Option<PathBuf>,
}

/// The targets, alive.
#[derive(Debug)]
pub struct Scene {
    /// Where they are.
    pub targets: Targets,
    victim: Child,
}

impl Scene {
    /// Sets it up in `dir`, for an app in `dir/app`. `program` is the probe program, `shown` the path
    /// at which the user finds it. The victim runs as `user`, or as oneself.
    pub fn new(dir: &Path, program: &Path, shown: &Path, user: Option<&Plain>) -> Result<Self> {
        let closet = dir.join("closet");
        let app = dir.join("app");
        for folder in [&closet, &app, &app.join("spool"), &app.join("suid")] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
        }
        let secret = open_file(closet.join("secret"), SECRET.as_bytes(), 0o666)?;
        let spare = open_file(closet.join("spare"), b"something", 0o666)?;
        let tool = open_file(closet.join("tool"), &fs::read(program)?, 0o755)?;
        let suid = open_file(app.join("suid/probe"), &fs::read(program)?, 0o4755)?;
        if let Some(user) = user {
            // What may be changed by its owner only must be the user's own.
            user.give(&closet)?;
            user.give(&app.join("spool"))?;
        }
        let number = std::process::id();
        let (tcp, machine) = tcp_listeners()?;
        let mut targets = Targets {
            handle: file_handle(&secret)?,
            secret,
            spare,
            tool,
            suid,
            writable: app.join("spool"),
            app,
            victim: 0,
            victim_address: 0,
            shm_key: 0x70_000_000 + i32::try_from(number % 0xff_ffff)?,
            queue: format!("/toft-probe-{number}"),
            tcp,
            udp: udp_echoes()?,
            machine,
            unix_stream: closet.join("stream"),
            unix_datagram: closet.join("datagram"),
            abstract_stream: format!("toft-probe-stream-{number}-{tcp}"),
            abstract_datagram: format!("toft-probe-datagram-{number}-{tcp}"),
            cgroups: crate::inventory::cgroup_tops()?,
            device: device(),
            closet,
        };
        unix_listeners(&targets)?;
        let (victim, address) = start_victim(&targets, shown, user)?;
        targets.victim = victim.id();
        targets.victim_address = address;
        Ok(Self { targets, victim })
    }

    /// The same targets as an app sees them that has `spool` and `suid` declared.
    pub fn seen_from_inside(&self) -> Targets {
        Targets {
            app: "/app".into(),
            writable: "/srv/spool".into(),
            suid: "/srv/suid/probe".into(),
            ..self.targets.clone()
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The victim removes its shared memory and its queue when its input ends.
        drop(self.victim.stdin.take());
        let ended = wait::until(Duration::from_secs(5), "the victim's end", || {
            self.victim.try_wait().ok().flatten()
        });
        if ended.is_err() {
            let _ = self.victim.kill();
            let _ = self.victim.wait();
        }
    }
}

fn open_file(path: PathBuf, contents: &[u8], mode: u32) -> Result<PathBuf> {
    fs::write(&path, contents).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(path)
}

/// A device that root at least can open here, and no app should find.
fn device() -> Option<PathBuf> {
    let known = [
        "/dev/vda",
        "/dev/sda",
        "/dev/nvme0n1",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/net/tun",
        "/dev/fuse",
        "/dev/kvm",
    ];
    known
        .map(PathBuf::from)
        .into_iter()
        .find(|path| fs::File::open(path).is_ok())
}

/// Starts the victim and learns where its secret lies. It lives until its standard input ends.
fn start_victim(targets: &Targets, program: &Path, user: Option<&Plain>) -> Result<(Child, u64)> {
    let mut command = user.map_or_else(|| Command::new(program), |user| user.command(program));
    let file = serde_json::to_string(targets)?;
    command
        .arg("victim")
        .arg(file)
        .current_dir(&targets.closet)
        .env("VICTIMS_SECRET", SECRET);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the victim")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
    match line.trim().parse() {
        Ok(address) => Ok((child, address)),
        Err(_) => bail!("the victim said {line:?} rather than where its secret lies"),
    }
}

/// The same port on both loopbacks and on an address of the machine.
fn tcp_listeners() -> Result<(u16, Option<IpAddr>)> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let port = first.local_addr()?.port();
    greet(first);
    if let Ok(listener) = TcpListener::bind(("::1", port)) {
        greet(listener);
    }
    // Which address a packet to the world would have; nothing is sent.
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    let own = probe
        .connect("192.0.2.1:9")
        .and_then(|()| probe.local_addr())
        .ok()
        .map(|a| a.ip());
    let own = own.filter(|address| !address.is_loopback());
    let bound = own.and_then(|address| Some((address, TcpListener::bind((address, port)).ok()?)));
    Ok((
        port,
        bound.map(|(address, listener)| {
            greet(listener);
            address
        }),
    ))
}

fn greet(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            say(stream);
        }
    });
}

/// A visitor who left already is none of our affair.
fn say(mut stream: impl Write) {
    let _ = stream.write_all(GREETING.as_bytes());
}

fn udp_echoes() -> Result<u16> {
    let first = UdpSocket::bind("127.0.0.1:0")?;
    let port = first.local_addr()?.port();
    for socket in [Some(first), UdpSocket::bind(("::1", port)).ok()]
        .into_iter()
        .flatten()
    {
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(GREETING.as_bytes(), from);
            }
        });
    }
    Ok(port)
}

fn unix_listeners(targets: &Targets) -> Result<()> {
    let path = UnixListener::bind(&targets.unix_stream)?;
    let named =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&targets.abstract_stream)?)?;
    for listener in [path, named] {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                say(stream);
            }
        });
    }
    let path = UnixDatagram::bind(&targets.unix_datagram)?;
    let named =
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&targets.abstract_datagram)?)?;
    for socket in [path, named] {
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while socket.recv(&mut buffer).is_ok() {}
        });
    }
    for path in [&targets.unix_stream, &targets.unix_datagram] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
    }
    Ok(())
}

/// The secret's handle: what somebody who saw the file once could have kept.
fn file_handle(path: &Path) -> Result<Vec<u8>> {
    let mut buffer = [0u8; 8 + 128];
    buffer[..4].copy_from_slice(&128u32.to_ne_bytes());
    let c_path = std::ffi::CString::new(path.to_string_lossy().as_bytes())?;
    let mut mount_id = 0i32;
    // SAFETY: the kernel writes at most the 128 bytes that the header announces, and one int.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            c_path.as_ptr(),
            buffer.as_mut_ptr(),
            &raw mut mount_id,
            0,
        )
    };
    if done != 0 {
        return Ok(Vec::new()); // A filesystem without handles: the probe says so.
    }
    let length = u32::from_ne_bytes(buffer[..4].try_into()?) as usize;
    let mut handle = buffer[4..8].to_vec();
    buffer[8..8 + length].as_ref().read_to_end(&mut handle)?;
    Ok(handle)
}

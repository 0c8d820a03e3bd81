//! What can keep an instance from starting, and what to do about it.

use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;
use toft_model::instance::Refusal;

/// One thing that the child of a spawn does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Join its cgroups of version 1.
    Cgroup,
    /// Become the leader of a session of its own.
    Session,
    /// Put descriptors in order.
    Descriptors,
    /// Make its own /proc.
    Proc,
    /// Enter its network namespace.
    Network,
    /// Bring up the loopback interface.
    Loopback,
    /// Allow every port to be bound.
    Ports,
    /// Make its notify socket.
    Notify,
    /// Hand its network namespace to the spawner.
    Handover,
    /// Set the host name.
    Hostname,
    /// Enter the prepared view.
    View,
    /// Make the place of its own mount with this number.
    Place(u16),
    /// Put its own mount with this number in place.
    Mount(u16),
    /// Set resource limits.
    Limits,
    /// Enter a user namespace of its own.
    UserNamespace,
    /// Allow the files that it may write (Landlock).
    Landlock,
    /// Drop every capability.
    Capabilities,
    /// Take its own user id.
    User,
    /// Be tied to the life of the keeper.
    Lifeline,
    /// Enter its working folder.
    Workdir,
    /// Forbid itself dangerous system calls (seccomp).
    Seccomp,
    /// Execute init.
    Execute,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Cgroup => "join the instance's cgroups",
            Step::Session => "begin a session",
            Step::Descriptors => "put descriptors in order",
            Step::Proc => "mount /proc",
            Step::Network => "enter the network namespace",
            Step::Loopback => "bring up the loopback interface",
            Step::Ports => "allow all ports to be bound",
            Step::Notify => "make the notify socket",
            Step::Handover => "hand over the network namespace",
            Step::Hostname => "set the host name",
            Step::View => "enter the prepared file tree",
            Step::Place(_) => "make the place of a mount",
            Step::Mount(_) => "put a mount in place",
            Step::Limits => "set resource limits",
            Step::UserNamespace => "enter a user namespace",
            Step::Landlock => "restrict files with Landlock",
            Step::Capabilities => "drop capabilities",
            Step::User => "change to the instance's user id",
            Step::Lifeline => "tie the instance to the keeper",
            Step::Workdir => "enter the working folder",
            Step::Seccomp => "install the system call filter",
            Step::Execute => "execute init",
        })
    }
}

/// Why something of an instance could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The child could not do a step. It has ended; its parent reaps it.
    #[error("{step}{}", on(subject))]
    Child {
        /// Which.
        step: Step,
        /// Path or name that it was about.
        subject: Option<String>,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// The kernel made no child.
    #[error("clone a process for the instance")]
    Clone(#[source] Errno),
    /// A bind's source cannot be opened.
    #[error("mount {} from {}", target.display(), source_path.display())]
    Bind {
        /// Inside.
        target: PathBuf,
        /// Outside.
        source_path: PathBuf,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// A mount point, file or link of the view cannot be made.
    #[error("make {} in the file tree", target.display())]
    Target {
        /// Inside.
        target: PathBuf,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// Something of the file tree around the mounts.
    #[error("{what}")]
    Tree {
        /// In words.
        what: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// A kernel call of the preparation.
    #[error("{what}")]
    Prepare {
        /// In words.
        what: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// A cgroup file.
    #[error("cgroup {}", path.display())]
    Cgroup {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// This kernel lacks something that a wall is made of.
    #[error("{feature}")]
    Missing {
        /// In words, with what it is for.
        feature: &'static str,
        /// What to do about it.
        cure: &'static str,
    },
    /// The order itself is wrong.
    #[error("{0}")]
    Spec(String),
    /// The process that built the view ended without an answer.
    #[error("build the file tree")]
    ViewDied,
}

fn on(subject: &Option<String>) -> String {
    subject
        .as_ref()
        .map(|subject| format!(" ({subject})"))
        .unwrap_or_default()
}

impl Error {
    /// What the kernel said, where it said something.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Child { errno, .. }
            | Error::Clone(errno)
            | Error::Bind { errno, .. }
            | Error::Target { errno, .. }
            | Error::Tree { errno, .. }
            | Error::Prepare { errno, .. }
            | Error::Cgroup { errno, .. } => Some(*errno),
            Error::Missing { .. } | Error::Spec(_) | Error::ViewDied => None,
        }
    }

    /// What to do about it, where there is something.
    pub fn cure(&self) -> Option<String> {
        let errno = self.errno();
        let text = match self {
            Error::Missing { cure, .. } => cure,
            Error::Bind { .. } if errno == Some(Errno::NOENT) => {
                "the path does not exist on this machine: make it, or take the line out of the app file"
            }
            Error::Bind { .. } if errno == Some(Errno::LOOP) => {
                "no symbolic link is followed here: name what it leads to"
            }
            Error::Bind { .. } if errno == Some(Errno::ACCESS) => {
                "the path may not be read by the user that runs toft"
            }
            Error::Target { .. }
            | Error::Child {
                step: Step::Place(_),
                ..
            } if matches!(errno, Some(Errno::ROFS | Errno::NOENT | Errno::PERM)) => {
                "a mount inside a folder that is itself mounted needs a place there: make an empty folder (or file) of that name in the folder's source"
            }
            Error::Child {
                step: Step::Workdir,
                ..
            } => "the working folder must exist inside and be open to the instance's user",
            Error::Child {
                step: Step::UserNamespace,
                ..
            } => "toft doctor says what this machine lacks",
            Error::Child {
                step: Step::Execute,
                ..
            } if errno == Some(Errno::ACCESS) => {
                "vm.memfd_noexec must not be 2 for toft: sysctl vm.memfd_noexec=0"
            }
            Error::Clone(Errno::NOSPC | Errno::USERS) => {
                "raise user.max_pid_namespaces, user.max_net_namespaces and user.max_mnt_namespaces with sysctl"
            }
            Error::Clone(Errno::AGAIN) => {
                "too many processes: raise the limit (ulimit -u) or end some"
            }
            Error::Clone(Errno::PERM) => {
                "namespaces may not be made here: sudo toft setup, or run as root"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let cause = match (&error, error.errno()) {
            (_, Some(errno)) => errno_text(errno),
            (Error::Spec(_), None) => "the order is not valid".to_owned(),
            (Error::Missing { .. }, None) => "this machine cannot do it".to_owned(),
            (_, None) => "its process ended without an answer".to_owned(),
        };
        Refusal {
            step: error.to_string(),
            cause,
            cure: error.cure(),
        }
    }
}

/// The kernel's words for an errno, without the number.
pub(crate) fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

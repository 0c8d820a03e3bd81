//! What this build can do of the grammar.
//!
//! The decoder knows every key from the first day. One that stands here as not yet possible is
//! refused where it is written, after its value was checked like any other. When something becomes
//! possible, its line in [`TABLE`] changes and nothing else does.

/// A part of the grammar that may be possible or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// `build.connect` other than its default.
    BuildConnect,
    /// `[release]`.
    Release,
    /// `[deploy]`.
    Deploy,
    /// `count = "0..10"`.
    CountRange,
    /// `alive`.
    Alive,
    /// `init`.
    Init,
    /// `if_lost`.
    IfLost,
    /// `needs`.
    Needs,
    /// `network = "host"`.
    NetworkHost,
    /// `listen` on a UDP port.
    ListenUdp,
    /// `listen` on a unix socket.
    ListenUnix,
    /// `client_address = true`.
    ClientAddress,
    /// `[process.X.connect]`.
    Connect,
    /// `log.to`.
    LogTo,
    /// `[route."tcp:PORT"]`.
    RouteTcp,
    /// `[route."udp:PORT"]`.
    RouteUdp,
    /// `[route."sni:HOST"]`.
    RouteSni,
    /// `[route."HOST/PATH"]`.
    RoutePath,
    /// `balance` other than round-robin.
    Balance,
    /// `[schedule.X]`.
    Schedule,
    /// `sync` of a volume.
    VolumeSync,
    /// `io` of a volume.
    VolumeIo,
    /// `replicas` of a volume.
    VolumeReplicas,
    /// `[notify]`.
    Notify,
    /// `[test]`.
    Test,
}

/// Each ability, whether this build has it, and its words in “not yet: …”.
const TABLE: &[(Ability, bool, &str)] = &[
    (
        Ability::BuildConnect,
        false,
        "builds that reach anything but the default, `[\"*:443\"]`",
    ),
    (
        Ability::Release,
        false,
        "a command once per release (`[release]`)",
    ),
    (
        Ability::Deploy,
        false,
        "steps and bounds of a deploy (`[deploy]`)",
    ),
    (
        Ability::CountRange,
        false,
        "a count that follows the requests",
    ),
    (
        Ability::Alive,
        false,
        "checks of running instances (`alive`)",
    ),
    (Ability::Init, false, "a command for fresh volumes (`init`)"),
    (
        Ability::IfLost,
        false,
        "what follows the loss of a machine (`if_lost`)",
    ),
    (Ability::Needs, false, "placement (`needs`)"),
    (Ability::NetworkHost, false, "the machine's own network"),
    (Ability::ListenUdp, false, "doors for UDP"),
    (Ability::ListenUnix, false, "doors for unix sockets"),
    (
        Ability::ClientAddress,
        false,
        "the client's real address (`client_address`)",
    ),
    (Ability::Connect, false, "doors that lead out (`connect`)"),
    (
        Ability::LogTo,
        false,
        "a choice of where log lines go (`log.to`)",
    ),
    (Ability::RouteTcp, false, "routes of TCP ports"),
    (Ability::RouteUdp, false, "routes of UDP ports"),
    (Ability::RouteSni, false, "routes by TLS name"),
    (Ability::RoutePath, false, "routes by path"),
    (
        Ability::Balance,
        false,
        "balancing other than `round-robin`",
    ),
    (Ability::Schedule, false, "schedules"),
    (Ability::VolumeSync, false, "a volume's `sync`"),
    (Ability::VolumeIo, false, "a volume's `io`"),
    (Ability::VolumeReplicas, false, "a volume's `replicas`"),
    (Ability::Notify, false, "notifications (`[notify]`)"),
    (Ability::Test, false, "tests beside the app (`[test]`)"),
];

impl Ability {
    fn row(self) -> Option<&'static (Ability, bool, &'static str)> {
        TABLE.iter().find(|(ability, ..)| *ability == self)
    }

    /// What it is, in words.
    pub fn words(self) -> &'static str {
        self.row().map_or("this", |(_, _, words)| words)
    }
}

/// Which part of the grammar is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    whole: bool,
}

impl Capabilities {
    /// What this build can do.
    pub fn now() -> Self {
        Self { whole: false }
    }

    /// The whole grammar, for checking files that are meant for later builds.
    pub fn whole() -> Self {
        Self { whole: true }
    }

    /// Whether something is accepted.
    pub fn has(self, ability: Ability) -> bool {
        self.whole || ability.row().is_some_and(|(_, now, _)| *now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ability_has_its_line() {
        for (at, (ability, ..)) in TABLE.iter().enumerate() {
            assert_eq!(
                *ability as usize, at,
                "the table is in the order of the enum"
            );
        }
        assert_eq!(TABLE.len(), Ability::Test as usize + 1);
    }
}

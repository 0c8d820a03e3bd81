//! A small assembler for seccomp filters (classic BPF over `struct seccomp_data`).

use libc::sock_filter;
use std::collections::BTreeMap;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Errno(i32),
    Kill,
}

impl Verdict {
    fn code(self) -> u32 {
        match self {
            Verdict::Allow => ALLOW,
            Verdict::Errno(errno) => ERRNO | (errno as u32 & 0xffff),
            Verdict::Kill => KILL_PROCESS,
        }
    }
}

/// A comparison of the value that was loaded last.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Test {
    Equal(u32),
    AtLeast(u32),
    AnyBit(u32),
}

/// A part of `struct seccomp_data`: its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field(pub(crate) u32);

impl Field {
    pub(crate) const NUMBER: Field = Field(0);
    pub(crate) const ARCH: Field = Field(4);

    /// Lower half of an argument; the kernel looks at no more of what is an int to it.
    pub(crate) const fn argument(n: u32) -> Field {
        Field(16 + 8 * n)
    }
}

/// A filter that is being written. Instructions run in order; a test that holds decides.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    code: Vec<sock_filter>,
}

impl Filter {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.code.push(sock_filter { code, jt, jf, k });
    }

    /// Loads a field for the tests that follow.
    pub(crate) fn load(&mut self, field: Field) {
        self.push(LOAD, 0, 0, field.0);
    }

    /// Keeps these bits of what was loaded.
    pub(crate) fn mask(&mut self, bits: u32) {
        self.push(AND, 0, 0, bits);
    }

    /// When the test holds, that is the verdict.
    pub(crate) fn when(&mut self, test: Test, verdict: Verdict) {
        self.jump(test, 0, 1);
        self.end(verdict);
    }

    /// When the test does not hold, that is the verdict.
    pub(crate) fn unless(&mut self, test: Test, verdict: Verdict) {
        self.jump(test, 1, 0);
        self.end(verdict);
    }

    /// When what was loaded is one of these, that is the verdict.
    pub(crate) fn when_any(&mut self, values: &[u32], verdict: Verdict) {
        for value in values {
            self.when(Test::Equal(*value), verdict);
        }
    }

    /// Decides by the value that was loaded. What is no case is allowed.
    ///
    /// The search halves, and neighbours with one verdict are one: the kernel compiles the filter,
    /// and runs it once for every system call that there is, each time that it is installed.
    pub(crate) fn cases(&mut self, cases: BTreeMap<u32, Case>) {
        let mut ranges = vec![(0, Case::Verdict(Verdict::Allow))];
        let mut after = 0;
        for (value, case) in cases {
            if value > after && !ranges.last().is_some_and(|(_, last)| last.allows()) {
                ranges.push((after, Case::Verdict(Verdict::Allow)));
            }
            if !ranges.last().is_some_and(|(_, last)| last.same(&case)) || value > after {
                ranges.push((value, case));
            }
            after = value + 1;
        }
        ranges.push((after, Case::Verdict(Verdict::Allow)));
        self.code.extend(halve(&ranges));
    }

    /// The instructions that `then` writes run only when the test holds; they must decide.
    pub(crate) fn branch(&mut self, test: Test, then: impl FnOnce(&mut Filter)) {
        let mut inner = Filter::default();
        then(&mut inner);
        let length = u8::try_from(inner.code.len()).expect("branches are short");
        self.jump(test, 0, length);
        self.code.append(&mut inner.code);
    }

    fn jump(&mut self, test: Test, jt: u8, jf: u8) {
        let (code, k) = match test {
            Test::Equal(k) => (EQUAL, k),
            Test::AtLeast(k) => (AT_LEAST, k),
            Test::AnyBit(k) => (ANY_BIT, k),
        };
        self.push(code, jt, jf, k);
    }

    /// Decides.
    pub(crate) fn end(&mut self, verdict: Verdict) {
        self.push(RETURN, 0, 0, verdict.code());
    }

    /// The finished program.
    pub(crate) fn finish(self) -> Vec<sock_filter> {
        self.code
    }
}

/// What follows when a value was found.
pub(crate) enum Case {
    /// This.
    Verdict(Verdict),
    /// What these instructions decide.
    Then(fn(&mut Filter)),
}

impl Case {
    fn allows(&self) -> bool {
        matches!(self, Case::Verdict(Verdict::Allow))
    }

    fn same(&self, other: &Case) -> bool {
        match (self, other) {
            (Case::Verdict(one), Case::Verdict(two)) => one == two,
            _ => false,
        }
    }
}

/// Code for ranges, each from its first value up to the next range's.
fn halve(ranges: &[(u32, Case)]) -> Vec<sock_filter> {
    let mut filter = Filter::default();
    match ranges {
        [(_, Case::Verdict(verdict))] => filter.end(*verdict),
        [(_, Case::Then(then))] => then(&mut filter),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let from = high.first().map_or(0, |(value, _)| *value);
            let low = halve(low);
            let length = u8::try_from(low.len()).expect("half of the filter is in a jump's reach");
            filter.jump(Test::AtLeast(from), length, 0);
            filter.code.extend(low);
            filter.code.extend(halve(high));
        }
    }
    filter.code
}

/// Runs a filter as the kernel would. For tests.
#[cfg(test)]
pub(crate) fn decide(code: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0u8; 64];
    data[..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (n, arg) in args.iter().enumerate() {
        data[16 + 8 * n..24 + 8 * n].copy_from_slice(&arg.to_le_bytes());
    }
    let (mut at, mut value) = (0, 0u32);
    loop {
        let i = code[at];
        at += 1;
        let go = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            LOAD => {
                let k = i.k as usize;
                value = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
            }
            AND => value &= i.k,
            EQUAL => at += go(value == i.k),
            AT_LEAST => at += go(value >= i.k),
            ANY_BIT => at += go(value & i.k != 0),
            RETURN => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

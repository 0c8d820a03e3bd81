//! `[volume.NAME]`.

use crate::capabilities::Ability;
use crate::decoder::{Decoder, Item};
use crate::value::phrase::sync;
use crate::value::quantity::bytes;
use toft_model::app::{IoClass, VolumeOwner, VolumeSpec};
use toft_model::unit::Bytes;

pub(super) fn volume(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<VolumeSpec> {
    let mut f = d.fields(item)?;
    let size = f
        .get(d, "size")
        .and_then(|item| bytes(d, &item, Bytes(4096)));
    let owner = f.get(d, "for").and_then(|item| {
        d.choice(
            &item,
            &[
                ("the app", VolumeOwner::App),
                ("each instance", VolumeOwner::EachInstance),
            ],
        )
    });
    let sync = f.get(d, "sync").and_then(|item| {
        d.needs(Ability::VolumeSync, item.key_at);
        sync(d, &item)
    });
    let io = f.get(d, "io").and_then(|item| {
        d.needs(Ability::VolumeIo, item.key_at);
        d.choice(
            &item,
            &[
                ("low", IoClass::Low),
                ("medium", IoClass::Medium),
                ("high", IoClass::High),
            ],
        )
    });
    let replicas = f.get(d, "replicas").and_then(|item| {
        d.needs(Ability::VolumeReplicas, item.key_at);
        d.whole(&item, 1..=16)
    });
    f.finish(d);
    Some(VolumeSpec {
        size,
        owner: owner.unwrap_or_default(),
        sync: sync.unwrap_or_default(),
        io: io.unwrap_or_default(),
        replicas: replicas.unwrap_or(1),
    })
}

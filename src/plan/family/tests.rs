//! Names from the field, and laws for any name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use proptest::prelude::*;

use super::{Family, split};

fn family(name: &str) -> Family {
    Family::of(OsStr::new(name))
}

/// A name, and what is its family without version marks; `=` where it has none.
const NAMES: &[(&str, &str)] = &[
    // Digits that belong to the model.
    ("rf_1h.pkl", "="),
    ("rf_24h.pkl", "="),
    ("rf_168h.pkl", "="),
    ("return_720h.joblib", "="),
    ("direction_24h.joblib", "="),
    ("resnet50.pt", "="),
    ("gpt2.onnx", "="),
    ("llama-7b.gguf", "="),
    ("llama-2-13b-chat.Q4_K_M.gguf", "="),
    ("model_2025.pkl", "="),
    ("yolov8n.pt", "="),
    ("bert-base-uncased-L12-H768.onnx", "="),
    ("model-00001-of-00002.safetensors", "="),
    ("lstm_fold3_seed42.h5", "="),
    ("mlp-lr=0.001-hidden=64.ckpt", "="),
    ("iou_0.5.pt", "="),
    ("rf_20251399.pkl", "="),
    ("rf_12345678.pkl", "="),
    ("rf_0000000001.pkl", "="),
    ("rf_99999999999999999999999.pkl", "="),
    ("rf_v.pkl", "="),
    ("rf_v3b.pkl", "="),
    ("modelv3.pkl", "="),
    ("laststep500.pt", "="),
    ("rf_step500k.pt", "="),
    ("step.pkl", "="),
    ("epoch.pkl", "="),
    ("model", "="),
    (".pkl", "="),
    ("svc[12].pkl", "="),
    ("-v.pkl", "="),
    ("new\nline.pkl", "="),
    ("weights.02-0.25.hdf5", "="),
    // Versions.
    ("rf_v3.pkl", "rf.pkl"),
    ("rf_V12.pkl", "rf.pkl"),
    ("model-v1.2.0.onnx", "model.onnx"),
    ("model-v1.2.0", "model"),
    ("model.v3", "model"),
    ("rf_v3_best.pkl", "rf_best.pkl"),
    ("rf_v3_24h.pkl", "rf_24h.pkl"),
    ("rf version 3.pkl", "rf.pkl"),
    ("rf_version_3.pkl", "rf.pkl"),
    ("v3.pkl", ".pkl"),
    ("t5-v1_1-base.pt", "t5_1-base.pt"),
    // Instants.
    ("rf_20250809.pkl", "rf.pkl"),
    ("rf_20250809_104603.pkl", "rf.pkl"),
    ("rf-20250809-1046.pkl", "rf.pkl"),
    ("rf_20250809T104603Z.pkl", "rf.pkl"),
    ("rf_20250809104603.pkl", "rf.pkl"),
    ("rf_2025-08-09.pkl", "rf.pkl"),
    ("rf_2025-08-09_10-46-03.pkl", "rf.pkl"),
    ("rf_2025-08-09T10:46:03.123456.pkl", "rf.pkl"),
    ("rf_2025_08_09.pkl", "rf.pkl"),
    ("20250809_rf.pkl", "rf.pkl"),
    ("rf_20250809_24h.pkl", "rf_24h.pkl"),
    ("rf_1754736363.pkl", "rf.pkl"),
    ("rf_1754736363.123456.pkl", "rf.pkl"),
    ("rf_1754736363123.pkl", "rf.pkl"),
    ("rf_1h_20250809_104603_v2.pkl", "rf_1h.pkl"),
    // Epochs, steps, checkpoints, metrics.
    ("lstm-epoch12.ckpt", "lstm.ckpt"),
    ("lstm_Epoch_012.h5", "lstm.h5"),
    ("unet_ep50.pth", "unet.pth"),
    ("epoch=12-step=500.ckpt", "epoch-step.ckpt"),
    ("epoch=12-step=500-v1.ckpt", "epoch-step.ckpt"),
    ("rl_step500.pt", "rl.pt"),
    ("checkpoint-10000.pt", "checkpoint.pt"),
    ("model.ckpt-1000", "model"),
    ("bert-iter_5000.pt", "bert.pt"),
    ("lstm-epoch=03-val_loss=0.03.ckpt", "lstm.ckpt"),
    ("lstm-val_loss=0.03.ckpt", "lstm.ckpt"),
    ("lstm-val_loss=1.2e-05.ckpt", "lstm.ckpt"),
    ("ppo_mean_reward=-12.5.pt", "ppo.pt"),
    ("cnn_acc_0.95.keras", "cnn.keras"),
];

#[test]
fn only_marks_are_taken_away() {
    for (name, expected) in NAMES {
        let family = family(name);
        let mut bare = family.stem.clone();
        if let Some(extension) = &family.extension {
            bare.push(".");
            bare.push(extension);
        }
        if *expected == "=" {
            assert_eq!((bare.to_str(), &family.version), (Some(*name), &None));
        } else {
            assert_eq!(bare.to_str(), Some(*expected), "{name:?}");
            assert!(family.version.is_some(), "{name:?}");
        }
    }
}

#[test]
fn what_begins_with_its_only_dot_has_no_extension() {
    for (name, stem, extension) in [(".pkl", ".pkl", None), ("a.pkl", "a", Some("pkl"))] {
        let expected = (OsStr::new(stem), extension.map(OsStr::new));
        assert_eq!(split(OsStr::new(name)), expected);
    }
}

#[test]
fn versions_of_a_family_compare_naturally() {
    for (older, newer) in [
        ("checkpoint-9000.pt", "checkpoint-10000.pt"),
        ("rf_v9.pkl", "rf_v10.pkl"),
        ("rf_v1.9.pkl", "rf_v1.10.pkl"),
        ("rf_v1.2.pkl", "rf_v1.2.1.pkl"),
        ("rf_20250809.pkl", "rf_20250810.pkl"),
        ("rf_20250809.pkl", "rf_20250809_000001.pkl"),
        ("rf_2025-08-09_1046.pkl", "rf_20250809_104603.pkl"),
        (
            "rf_20250809_104603_000001.pkl",
            "rf_20250809_104603_000002.pkl",
        ),
        ("rf_1754736363.pkl", "rf_1754736363001.pkl"),
        ("rf_20250101.pkl", "rf_1754736363.pkl"),
        ("epoch=9-step=500.ckpt", "epoch=12-step=100.ckpt"),
        ("epoch=9-step=500.ckpt", "epoch=9-step=500-v1.ckpt"),
    ] {
        let (older, newer) = (family(older), family(newer));
        assert_eq!(
            (&older.stem, &older.extension),
            (&newer.stem, &newer.extension)
        );
        assert!(older.version < newer.version, "{older:?} {newer:?}");
    }
}

#[test]
fn digits_of_models_make_different_families() {
    let keys = [
        "rf_1h.pkl",
        "rf_24h.pkl",
        "rf_168h.pkl",
        "rf.pkl",
        "rf.pt",
        "rf_v1.pkl",
    ]
    .map(|name| family(name).key(Path::new("saved")));
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "{key}");
    }
}

#[test]
fn a_key_reads_like_a_pattern_and_hides_nothing() {
    let key = |directory: &str, name: &str| family(name).key(Path::new(directory));
    assert_eq!(key("", "rf_1h.pkl"), "rf_1h.pkl");
    assert_eq!(key("saved", "rf_v3.pkl"), "saved/rf*.pkl");
    assert_eq!(key("/", "rf"), "/rf");
    assert_eq!(key("", "a.pkl_v3"), "a%2Epkl*");
    assert_eq!(key("x*", "50%\n.pkl"), "x%2A/50%25%0A.pkl");
    let raw = OsString::from_vec(b"rf\xff_v3.pkl".to_vec());
    assert_eq!(Family::of(&raw).key(Path::new("")), "rf%FF*.pkl");
}

/// Words, separators and numbers as they stand in names, and any bytes.
fn names() -> impl Strategy<Value = OsString> {
    let part = prop_oneof![
        "[a-zA-Z0-9_.=@ -]{0,6}",
        "[0-9]{1,22}",
        proptest::sample::select(vec![
            "epoch",
            "step",
            "v",
            "checkpoint-",
            "20250809",
            "2025-08-09",
            "T10",
            ":46",
            "val_",
            "loss=",
            "acc",
            "0.5",
            "e-05",
            "version",
            ".pkl",
            "1754736363",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat().into()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn any_name_has_a_family(name in names()) {
        let family = Family::of(&name);
        prop_assert_eq!(&family, &Family::of(&name));
        if family.version.is_none() {
            let (stem, extension) = split(&name);
            prop_assert_eq!((&*family.stem, family.extension.as_deref()), (stem, extension));
        }
        prop_assert!(family.stem.len() <= name.len());
    }

    #[test]
    fn versions_of_any_name_are_one_family_in_their_order(
        stem in "[a-z0-9]{1,8}(_[a-z0-9]{1,8}){0,2}", older in 0..1_000_000_u64, by in 1..1_000_u64,
    ) {
        for mark in ["_v", "-epoch", "_step", "-checkpoint-", "-epoch="] {
            let of = |number: u64| family(&format!("{stem}{mark}{number}.pkl"));
            let (older, newer) = (of(older), of(older + by));
            prop_assert_eq!(older.key(Path::new("d")), newer.key(Path::new("d")));
            prop_assert!(older.version < newer.version);
        }
    }

    #[test]
    fn a_key_tells_families_apart(a in names(), b in names(), da in "[a-c%*./]{0,3}", db in "[a-c%*./]{0,3}") {
        let (one, other) = (Family::of(&a), Family::of(&b));
        let (da, db) = (Path::new(&da), Path::new(&db));
        // Names have no `/`; a directory is told by its bytes but for a trailing one.
        prop_assume!(!a.as_encoded_bytes().contains(&b'/') && !b.as_encoded_bytes().contains(&b'/'));
        let same = one.stem == other.stem
            && one.extension == other.extension
            && one.version.is_some() == other.version.is_some();
        let directories = (da.as_os_str(), db.as_os_str());
        if directories.0 == directories.1 {
            prop_assert_eq!(one.key(da) == other.key(db), same);
        } else if da.components().ne(db.components()) {
            prop_assert_ne!(one.key(da), other.key(db));
        }
    }
}

//! Models that are more than a file, and archives that are more than copies: sidecars, directory
//! models, compression, and what the replaced system left.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fixture::{DAY, Tmpfs, Tree, actions, json_lines, kept, operation, set_age, sums_hold};
use crate::require;

const ARCHIVING: &str = "model_archiving";
const RESTORING: &str = "model_restoring";

fn archive(tree: &Tree, more: &[&str]) -> Value {
    let args = [&["-v", "-C", ".", "archive-models"], more].concat();
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

fn restore(tree: &Tree, more: &[&str]) -> Value {
    let args = [&["-C", ".", "restore-models"], more].concat();
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

/// A Hugging Face model, a run of `MLflow`, a model with sidecars, and metadata of all.
fn models(tree: &Tree) -> BTreeMap<PathBuf, Vec<u8>> {
    let files: [(&str, &[u8]); 10] = [
        ("bert -v1/config.json", b"{}"),
        ("bert -v1/model.safetensors", &[7; 9000]),
        ("bert -v1/sub dir/tokenizer\n.json", b"[1]"),
        ("runs/ab12/artifacts/model/MLmodel", b"flavors:"),
        ("runs/ab12/artifacts/model/model.pkl", &[3; 5000]),
        ("rf_1h.pkl", b"weights"),
        ("rf_1h.json", b"{\"horizon\": 1}"),
        ("rf_1h.pkl.sha256", b"0  rf_1h.pkl"),
        ("net.pt", b"one"),
        ("net.onnx", b"two"),
    ];
    let mut all = BTreeMap::new();
    for (name, bytes) in files {
        tree.aged(Path::new("models").join(name), bytes, 10 * DAY);
        all.insert(PathBuf::from(name), bytes.to_vec());
    }
    tree.aged("models/metadata.json", b"of all", 10 * DAY);
    tree.aged("models/net.json", b"of two", 10 * DAY);
    all
}

fn are_home(tree: &Tree, all: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in all {
        let place = tree.path("models").join(name);
        assert!(
            fs::read(&place).is_ok_and(|found| found == *bytes),
            "{}",
            name.display()
        );
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_goes_together_moves_together_and_comes_back() {
    let tree = Tree::new();
    let all = models(&tree);
    fs::set_permissions(
        tree.path("models/bert -v1/sub dir"),
        fs::Permissions::from_mode(0o750),
    )
    .unwrap();
    let inode = fs::metadata(tree.path("models/bert -v1")).unwrap().ino();
    let report = archive(&tree, &[]);
    let list = operation(&report, ARCHIVING)["actions"].as_array().unwrap();
    // The only version of its family stays unless that is switched off.
    assert_eq!(
        kept(&report, ARCHIVING)["models/bert -v1"],
        "the newest of its family"
    );
    assert_eq!(list.len(), 4, "{list:#?}");
    assert!(
        tree.path("models/net.json").exists(),
        "shared by two models"
    );
    assert!(tree.path("models/metadata.json").exists());
    tree.config("[models]\nkeep_latest = 0\n");
    archive(&tree, &[]);
    for name in all.keys() {
        assert!(!tree.path("models").join(name).exists(), "{name:?}");
    }
    let stored = tree.names("models/archived");
    let starting = |start: &str| stored.iter().find(|name| name.starts_with(start)).unwrap();
    let bert = tree.path("models/archived").join(starting("bert -v1_"));
    assert_eq!(fs::metadata(&bert).unwrap().ino(), inode, "one rename");
    let model = starting("rf_1h_");
    let stem = model.split('.').next().unwrap();
    for end in ["json", "pkl", "pkl.sha256"] {
        assert!(stored.contains(&format!("{stem}.{end}")), "{stored:?}");
    }
    assert!(sums_hold(&tree.path("models/archived")));
    restore(&tree, &["--verify"]);
    restore(
        &tree,
        &["rf_1h.pkl", "models/bert -v1", "runs/ab12/artifacts/model"],
    );
    restore(&tree, &["--all"]);
    are_home(&tree, &all);
    let mode = fs::metadata(tree.path("models/bert -v1/sub dir"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o7777, 0o750);
    let report = restore(&tree, &["--all"]);
    assert_eq!(operation(&report, RESTORING)["bytes_freed"], 0, "no-op");
    // Restored counts as used, for what is a directory too.
    for age_by in ["used", "modified"] {
        assert_eq!(
            actions(&archive(&tree, &["--age-by", age_by]), ARCHIVING),
            []
        );
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_versions_of_a_directory_model_are_counted_and_expire_whole() {
    let tree = Tree::new();
    tree.config("[models]\nmax_archived_models = 2\n");
    let make = |step: u32, age: u32| {
        let name = format!("models/out/checkpoint-{step}");
        tree.aged(format!("{name}/config.json"), b"{}", age * DAY);
        let weights = step.to_string().repeat(100);
        tree.aged(format!("{name}/model.safetensors"), weights, age * DAY);
    };
    for (step, age) in [(500, 50), (1000, 40), (9000, 30), (10_000, 20)] {
        make(step, age);
    }
    archive(&tree, &[]);
    assert!(
        tree.path("models/out/checkpoint-10000").exists(),
        "the newest stays"
    );
    archive(&tree, &[]);
    let left = tree.names("models/archived/out");
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter().all(|name| !name.starts_with("checkpoint-500_")),
        "{left:?}"
    );
    assert!(sums_hold(&tree.path("models/archived")));
    restore(&tree, &["--verify"]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_directory_that_is_used_linked_pinned_or_odd_stays_whole() {
    let tree = Tree::new();
    tree.config("[models]\npin = ['pinned']\nexclude = ['excluded/tokenizer.json']\n");
    let names = [
        "held", "linked", "pinned", "excluded", "odd", "read", "free",
    ];
    for name in names {
        tree.aged(format!("models/{name}/config.json"), b"{}", 10 * DAY);
        tree.aged(format!("models/{name}/model.safetensors"), name, 10 * DAY);
        tree.aged(format!("models/{name}/tokenizer.json"), b"[]", 10 * DAY);
    }
    symlink("linked", tree.path("models/current")).unwrap();
    symlink("config.json", tree.path("models/odd/link")).unwrap();
    set_age(&tree.path("models/read/tokenizer.json"), DAY);
    let held = fs::File::open(tree.path("models/held/tokenizer.json")).unwrap();
    let report = archive(&tree, &[]);
    drop(held);
    let kept = kept(&report, ARCHIVING);
    for (name, words) in [
        ("held", "in use by"),
        ("linked", "a symbolic link points to it"),
        ("pinned", "pinned"),
        ("excluded", "excluded"),
        ("odd", "more than files"),
        ("read", "modified 1 d ago"),
    ] {
        let why = &kept[&format!("models/{name}")];
        assert!(why.contains(words), "{name}: {why}");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            assert!(tree.path(format!("models/{name}/{file}")).exists());
        }
    }
    assert!(!tree.path("models/free").exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_compresses_is_compressed_once_and_comes_back() {
    if !require::tool("zstd") || !require::tool("gzip") {
        return;
    }
    for codec in ["zstd", "gzip"] {
        let tree = Tree::new();
        tree.aged("models/plain.pkl", vec![b'x'; 200_000], 10 * DAY);
        let mut random = vec![0_u8; 50_000];
        let mut state = 1_u64;
        for byte in &mut random {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = u8::try_from(state >> 56).unwrap();
        }
        tree.aged("models/random.pkl", &random, 10 * DAY);
        let mut joblib = vec![0x78, 0x9c];
        joblib.extend(vec![0; 100_000]);
        tree.aged("models/packed.joblib", &joblib, 10 * DAY);
        tree.aged("models/dir/MLmodel", vec![b'y'; 90_000], 10 * DAY);
        tree.aged("models/dir/data/noise", &random, 10 * DAY);
        let report = archive(&tree, &["--compress", codec]);
        let freed = operation(&report, ARCHIVING)["bytes_freed"].as_i64();
        assert!(freed.unwrap() > 150_000, "{report:#}");
        let lines = json_lines(&tree.path("models/archived/manifest.jsonl"));
        let codecs: BTreeMap<&str, &str> = lines
            .iter()
            .map(|line| {
                let word = |key: &str| line[key].as_str().unwrap();
                (word("original_path"), word("codec"))
            })
            .collect();
        let expected = [
            ("dir/MLmodel", codec),
            ("dir/data/noise", "none"),
            ("packed.joblib", "none"),
            ("plain.pkl", codec),
            ("random.pkl", "none"),
        ];
        assert_eq!(codecs, BTreeMap::from(expected));
        assert!(sums_hold(&tree.path("models/archived")));
        restore(&tree, &["--verify"]);
        let listed = tree.run(&["-C", ".", "restore-models"]).stdout;
        assert!(listed.contains(codec), "{listed}");
        // Without sysopt the tool of the codec reads it.
        let stored = tree.names("models/archived");
        let plain = stored
            .iter()
            .find(|name| name.starts_with("plain"))
            .unwrap();
        let output = Command::new(codec)
            .args(["-d", "-c"])
            .stdin(fs::File::open(tree.path("models/archived").join(plain)).unwrap())
            .output()
            .unwrap();
        assert!(output.stdout == vec![b'x'; 200_000]);
        restore(&tree, &["--all"]);
        assert!(fs::read(tree.path("models/plain.pkl")).unwrap() == vec![b'x'; 200_000]);
        assert!(fs::read(tree.path("models/random.pkl")).unwrap() == random);
        assert!(fs::read(tree.path("models/packed.joblib")).unwrap() == joblib);
        assert!(fs::read(tree.path("models/dir/data/noise")).unwrap() == random);
        // The same content again is stored once, whatever the codec.
        let before = tree.names("models/archived");
        for name in [
            "models/plain.pkl",
            "models/dir/MLmodel",
            "models/dir/data/noise",
        ] {
            set_age(&tree.path(name), 9 * DAY);
        }
        let manifest = tree.path("models/archived/manifest.jsonl");
        let text = fs::read_to_string(&manifest).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("\"restored\""))
            .collect();
        fs::write(&manifest, kept.join("\n") + "\n").unwrap();
        archive(&tree, &["--compress", codec, "--age-by", "modified"]);
        assert_eq!(tree.names("models/archived"), before);
        assert!(!tree.path("models/dir").exists());
        restore(&tree, &["--verify"]);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_another_system_archived_is_listed_restored_and_taken_in() {
    let tree = Tree::new();
    fs::create_dir_all(tree.path("models")).unwrap();
    for (name, content) in [("rf_20250809.pkl", "old"), ("rf_20250901.pkl", "newer")] {
        tree.aged(format!("models/archived/{name}"), content, 60 * DAY);
    }
    tree.aged("models/archived/notes.txt", b"by hand", 60 * DAY);
    let report = restore(&tree, &["--list"]);
    let models = &operation(&report, RESTORING)["metadata"]["models"];
    assert_eq!(models[0]["model"], "models/rf.pkl");
    assert_eq!(models[0]["versions"], 2);
    assert_eq!(models[0]["codec"], "unlisted");
    for name in ["rf_20250809.pkl", "rf.pkl@20250809"] {
        restore(&tree, &[name]);
        assert_eq!(fs::read(tree.path("models/rf.pkl")).unwrap(), b"old");
        fs::remove_file(tree.path("models/rf.pkl")).unwrap();
    }
    let before = tree.snapshot();
    let (ran, planned) = tree.json(&["-n", "-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(tree.snapshot(), before);
    let report = archive(&tree, &[]);
    assert_eq!(actions(&planned, ARCHIVING).len(), 2);
    assert_eq!(actions(&report, ARCHIVING).len(), 2);
    let lines = json_lines(&tree.path("models/archived/manifest.jsonl"));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["original_path"], "rf.pkl");
    assert!(sums_hold(&tree.path("models/archived")));
    let report = restore(&tree, &["--verify"]);
    let files = &operation(&report, RESTORING)["metadata"]["files"];
    assert!(
        files.to_string().contains("unlisted"),
        "notes.txt is told of: {files:#}"
    );
    assert_eq!(actions(&archive(&tree, &[]), ARCHIVING), []);
}

/// The archive after something happened to it, and whether it is right.
type Harm = (&'static str, fn(&Path));

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn verify_and_sha256sum_always_agree() {
    let harms: [Harm; 8] = [
        ("nothing", |_| {}),
        ("an extra file", |at| {
            fs::write(at.join("extra.pkl"), "x").unwrap();
        }),
        ("a model lost", |at| {
            fs::remove_file(find(at, "rf_1h", "pkl")).unwrap();
        }),
        ("a sidecar lost", |at| {
            fs::remove_file(find(at, "rf_1h", "json")).unwrap();
        }),
        ("a sidecar changed", |at| {
            fs::write(find(at, "rf_1h", "json"), "[]").unwrap();
        }),
        ("a directory's file changed", |at| {
            let dir = at.join("runs/ab12/artifacts");
            let model = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
            fs::write(model.join("MLmodel"), "flavour:").unwrap();
        }),
        ("a directory lost", |at| {
            fs::remove_dir_all(at.join("runs")).unwrap();
        }),
        ("a digest changed", |at| {
            let sums = fs::read_to_string(at.join("SHA256SUMS")).unwrap();
            let first = if sums.starts_with('0') { "1" } else { "0" };
            fs::write(at.join("SHA256SUMS"), format!("{first}{}", &sums[1..])).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let tree = Tree::new();
        models(&tree);
        archive(&tree, &[]);
        let at = tree.path("models/archived");
        harm(&at);
        let verified = tree.run(&["-C", ".", "restore-models", "--verify"]);
        let right = sums_hold(&at);
        assert_eq!(
            verified.code,
            Some(if right { 0 } else { 3 }),
            "{what}: {verified:?}"
        );
        assert_eq!(right, matches!(what, "nothing" | "an extra file"), "{what}");
    }
}

fn find(at: &Path, start: &str, end: &str) -> PathBuf {
    let paths = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    let mut paths = paths.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(start) && name.ends_with(&format!(".{end}"))
    });
    paths.next().unwrap()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_different_file_in_the_way_is_code_3_and_the_others_come_back() {
    let tree = Tree::new();
    let all = models(&tree);
    tree.config("[models]\nkeep_latest = 0\n");
    archive(&tree, &[]);
    // Of the same size, of another, and a directory with one file more.
    for other in ["WEIGHTS", "mine", "weights"] {
        tree.write("models/rf_1h.pkl", other);
        let json = if other == "weights" {
            "other"
        } else {
            "{\"horizon\": 1}"
        };
        tree.write("models/rf_1h.json", json);
        for dry in [&["-n"][..], &[]] {
            for name in ["rf_1h.pkl", "--all"] {
                let args = [dry, &["-C", ".", "restore-models", name]].concat();
                let ran = tree.run(&args);
                assert_eq!(ran.code, Some(3), "{other} {ran:?}");
                assert!(
                    ran.stderr.contains("cannot restore 'models/rf_1h."),
                    "{ran:?}"
                );
                assert!(ran.stderr.contains("--to DIR"), "{ran:?}");
                assert_eq!(
                    fs::read_to_string(tree.path("models/rf_1h.pkl")).unwrap(),
                    other
                );
            }
        }
        assert!(tree.path("models/net.pt").exists(), "the others came back");
    }
    let bert = tree.path("models/bert -v1");
    fs::write(bert.join("extra"), "x").unwrap();
    let ran = tree.run(&["-C", ".", "restore-models", "bert -v1"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(bert.join("extra").exists());
    assert_eq!(all.len(), 10);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn on_another_filesystem_directories_and_sidecars_arrive_whole_or_not_at_all() {
    if !require::own_machine(
        on_another_filesystem_directories_and_sidecars_arrive_whole_or_not_at_all,
    ) {
        return;
    }
    for compress in ["none", "zstd"] {
        let tree = Tree::new();
        let other = Tmpfs::new(1 << 20);
        let store = other.path().join("vault");
        tree.config(&format!(
            "[models]\nkeep_latest = 0\narchive_directory = '{}'\n",
            store.display()
        ));
        let all = models(&tree);
        tree.aged("models/sub/large.pkl", vec![1; 3 << 20], 10 * DAY);
        let (ran, report) = tree.json(&["-v", "-C", ".", "archive-models", "--compress", compress]);
        // How far it will shrink is not known before.
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("no room"), "{ran:?}");
        assert!(kept(&report, ARCHIVING)["models/sub/large.pkl"].contains("no room"));
        assert!(report.to_string().contains("has no room for them"));
        assert!(tree.path("models/sub/large.pkl").exists());
        for name in all.keys() {
            assert!(
                !tree.path("models").join(name).exists(),
                "{name:?} {report:#}"
            );
        }
        assert!(sums_hold(&store));
        restore(&tree, &["--verify"]);
        restore(&tree, &["--all"]);
        are_home(&tree, &all);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_pickle_made_by_python_loads_equal_after_its_journey() {
    if !require::tool("python3") {
        return;
    }
    let script = "import pickle,sys,array\n\
                  m={'w':array.array('d',[i/7 for i in range(9999)]),'n':('rf',24)}\n\
                  p=sys.argv[2]\n\
                  if sys.argv[1]=='make': pickle.dump(m,open(p,'wb'))\n\
                  else: assert pickle.load(open(p,'rb'))==m\n";
    let python = |what: &str, path: &Path| {
        let ran = Command::new("python3")
            .args(["-c", script, what])
            .arg(path)
            .output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    for codec in ["none", "gzip", "zstd"] {
        let tree = Tree::new();
        let path = tree.write("models/rf_24h.pkl", "");
        python("make", &path);
        set_age(&path, 10 * DAY);
        archive(&tree, &["--compress", codec]);
        assert!(!path.exists());
        restore(&tree, &["rf_24h.pkl"]);
        python("load", &path);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_numpy_and_safetensors_have_mapped_stays_and_can_be_read() {
    if !require::own_machine(what_numpy_and_safetensors_have_mapped_stays_and_can_be_read) {
        return;
    }
    let tree = Tree::new();
    fs::create_dir_all(tree.path("models/dir")).unwrap();
    let script = "import sys,numpy,os\n\
                  from safetensors.numpy import save_file\nfrom safetensors import safe_open\n\
                  a=numpy.arange(99999,dtype='f8')\n\
                  a.tofile('a.npz')\nsave_file({'a':a},'b.safetensors')\n\
                  open('dir/config.json','w').write('{}')\n\
                  save_file({'a':a},'dir/model.safetensors')\n\
                  old=os.stat('a.npz').st_mtime-30*86400\n\
                  m=numpy.memmap('a.npz',dtype='f8',mode='r')\n\
                  s=safe_open('b.safetensors','np')\nd=safe_open('dir/model.safetensors','np')\n\
                  [os.utime(p,(old,old)) for p in ('a.npz','b.safetensors','dir/config.json','dir/model.safetensors')]\n\
                  print('ready',flush=True)\nsys.stdin.readline()\n\
                  assert (m==a).all() and (s.get_tensor('a')==a).all() and (d.get_tensor('a')==a).all()\n";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .current_dir(tree.path("models"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    if std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).is_err() {
        holder.wait().unwrap();
        require::missing("numpy or safetensors is not installed");
        return;
    }
    let report = archive(&tree, &[]);
    assert_eq!(actions(&report, ARCHIVING), []);
    let kept = kept(&report, ARCHIVING);
    for name in ["a.npz", "b.safetensors", "dir"] {
        let why = &kept[&format!("models/{name}")];
        assert!(
            why.starts_with(&format!("in use by pid {}", holder.id())),
            "{name}: {why}"
        );
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success(), "it reads what it mapped");
    assert_eq!(actions(&archive(&tree, &[]), ARCHIVING).len(), 3);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn fifty_versions_of_one_model_expire_no_other() {
    let tree = Tree::new();
    for name in ["rare.pkl", "rf_1h.pkl", "rf_24h.pkl"] {
        tree.aged(Path::new("models").join(name), name, 400 * DAY);
    }
    archive(&tree, &[]);
    for version in 1..=50_u32 {
        let name = format!("models/burst_v{version}.pkl");
        tree.aged(name, version.to_string(), (70 - version) * DAY);
    }
    archive(&tree, &[]);
    archive(&tree, &[]);
    let names = tree.names("models/archived");
    let of = |start: &str| names.iter().filter(|name| name.starts_with(start)).count();
    assert_eq!(
        (of("rare"), of("rf_1h"), of("rf_24h"), of("burst")),
        (1, 1, 1, 10)
    );
    assert!(tree.path("models/burst_v50.pkl").exists());
}

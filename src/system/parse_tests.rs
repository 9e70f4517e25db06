use super::*;

#[test]
fn the_name_of_a_process_may_hold_anything() {
    let tail =
        "S 1 7 7 0 -1 4194560 900 0 0 0 12 30 0 0 20 -5 4 0 5005 1000 50 18446744073709551615";
    for name in ["python3", "a) R 1 (b", "", "tab\tnew\nline", "\u{fffd}"] {
        let text = format!("7 ({name}) {tail}");
        let expected = ProcessStat {
            parent: 1,
            state: State::Sleeping,
            kernel: false,
            cpu_ticks: 42,
            nice: -5,
            threads: 4,
            start_ticks: 5005,
        };
        assert_eq!(process_stat(text.as_bytes()), Some(expected), "{name}");
        assert_eq!(super::name(text.as_bytes()).as_deref(), Some(name));
    }
    let mut bytes = b"7 (\xff) ".to_vec();
    bytes.extend(tail.as_bytes());
    assert!(process_stat(&bytes).is_some());
    for broken in ["", "7", "7 (x)", "7 (x) S 1", ")"] {
        assert_eq!(process_stat(broken.as_bytes()), None, "{broken}");
    }
    let kernel = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1";
    assert!(process_stat(kernel.as_bytes()).is_some_and(|stat| stat.kernel));
}

#[test]
fn empty_arguments_count() {
    for (text, expected) in [
        (&b""[..], &[][..]),
        (b"a\0", &["a"]),
        (b"a\0\0b\0", &["a", "", "b"]),
        (b"a\0\0", &["a", ""]),
        (b"\0", &[""]),
        (b"title without end", &["title without end"]),
        (b"a\0new\nline\0", &["a", "new\nline"]),
    ] {
        assert_eq!(arguments(text), expected, "{text:?}");
    }
    assert_eq!(arguments(b"\xff\0"), [OsString::from_vec(vec![0xff])]);
}

#[test]
fn only_the_wanted_variables_are_taken() {
    let text = b"A=1\0SYSOPT_AGENT=whale\0TOKEN=hush\0";
    assert_eq!(
        environment(text, &["SYSOPT_AGENT=whale", "A=2"]),
        ["SYSOPT_AGENT=whale"]
    );
    assert!(environment(text, &[]).is_empty());
}

#[test]
fn flags_tell_how_a_file_is_open() {
    for (flags, expected) in [
        ("0100000", Some(Hold::Read)),
        ("0102000", Some(Hold::Read)),
        ("0100001", Some(Hold::Write)),
        ("0100002", Some(Hold::Write)),
        ("0100003", Some(Hold::Write)),
        ("02102001", Some(Hold::Append)),
        ("0102002", Some(Hold::Append)),
        ("9", None),
        ("", None),
    ] {
        let text = format!("pos:\t12\nflags:\t{flags}\nmnt_id:\t29\n");
        assert_eq!(hold(text.as_bytes()), expected, "{flags}");
    }
    assert_eq!(hold(b""), None);
}

#[test]
fn mappings_without_a_file_are_left_out() {
    let mut text = b"\
55d0-55d1 r-xp 00000000 fe:01 1234                       /usr/bin/x
7f00-7f01 rw-p 00000000 00:00 0
7f02-7f03 rw-s 00001000 103:1a 18446744073709551615 /srv/my model (v2).bin (deleted)
7ffe-7fff r-xp 00000000 00:00 0                          [vdso]
garbage
7f04-7f05 r--p 00000000 zz:01 5 /x
7f06-7f07 r--p 00000000 00:2a 6 /"
        .to_vec();
    text.extend(b"\xff\n");
    let found: Vec<_> = mapped(&text).collect();
    let expected = [
        (makedev(0xfe, 1), 1234),
        (makedev(0x103, 0x1a), u64::MAX),
        (makedev(0, 0x2a), 6),
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_limit_is_not_zero() {
    let text = |soft: &str| {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units\n\
             Max core file size        0                    unlimited            bytes\n\
             Max open files            {soft}                 1048576              files\n"
        )
    };
    assert_eq!(open_files_limit(text("1024").as_bytes()), Some(1024));
    assert_eq!(open_files_limit(text("unlimited").as_bytes()), None);
    assert_eq!(open_files_limit(b""), None);
}

#[test]
fn the_control_group_of_the_newer_version_comes_first() {
    for (text, expected) in [
        (
            "0::/system.slice/bot.service\n",
            Some("/system.slice/bot.service"),
        ),
        ("4:memory:/a\n1:name=systemd:/b\n0::/\n", Some("/b")),
        ("1:name=systemd:/b\n0::/c\n", Some("/c")),
        ("0::/\n", Some("/")),
        ("", None),
    ] {
        assert_eq!(cgroup(text.as_bytes()).as_deref(), expected, "{text}");
    }
}

#[test]
fn idle_and_waiting_are_not_busy() {
    let text = b"cpu  10 2 3 100 20 1 1 5 7 0\ncpu0 5 1 1 50 10 0 0 0 0 0\ncpu1 5 1 2 50 10 1 1 5 7 0\nintr 5\n";
    let expected = Processors {
        busy: 22,
        total: 142,
        count: 2,
    };
    assert_eq!(processors(text), Some(expected));
    assert_eq!(
        processors(b"cpu  1 2 3 4\n").map(|p| (p.busy, p.total)),
        Some((6, 10))
    );
    assert_eq!(processors(b"cpu  1 2\n"), None);
    assert_eq!(processors(b""), None);
}

#[test]
fn pressure_has_averages_and_a_total() {
    let text = b"some avg10=1.53 avg60=0.87 avg300=0.33 total=94113\n\
                 full avg10=0.50 avg60=0.25 avg300=0.10 total=3000\n";
    let (stall, total) = pressure(text).unwrap_or_default();
    assert_eq!(total, 94_113);
    let some = stall.some;
    assert_eq!((some.avg10, some.avg60, some.avg300), (1.53, 0.87, 0.33));
    assert_eq!(stall.full.map(|full| full.avg60), Some(0.25));
    let old = pressure(b"some avg10=1.00 avg60=2.00 avg300=3.00 total=5\n");
    assert_eq!(
        old.map(|(stall, total)| (stall.full, total)),
        Some((None, 5))
    );
    assert_eq!(pressure(b"full avg10=9.00\n"), None);
    assert_eq!(pressure(b""), None);
}

#[test]
fn counts_of_the_kernel_are_read_by_name() {
    let text = b"nr_free_pages 5\npgmajfault 12\npswpin 0\npswpout 3\noom_kill 1\n";
    let counters = vmstat(text).unwrap_or_default();
    assert_eq!(counters.pgmajfault, Some(12));
    assert_eq!((counters.pswpin, counters.pswpout), (Some(0), Some(3)));
    assert_eq!(counters.oom_kill, Some(1));
    assert_eq!(vmstat(b"").unwrap_or_default().oom_kill, None);
}

#[test]
fn the_status_tells_of_swap_and_signals() {
    let text =
        b"Name:\tx: SigCgt:\t1\nUid:\t1000\t0\t0\t0\nVmRSS:\t  2048 kB\nVmSwap:\t     4 kB\n\
                 SigCgt:\t0000000180004a02\n";
    let expected = Status {
        uid: Some(1000),
        swap: Some(4096),
        resident: Some(2 << 20),
        caught: Some(0x1_8000_4a02),
    };
    assert_eq!(status(text), expected);
    assert_eq!(status(b"Name:\tkthreadd\n"), Status::default());
    assert_eq!(
        proportional(b"00400000-7fff [rollup]\nRss: 9 kB\nPss:   7 kB\n"),
        Some(7168)
    );
    assert_eq!(proportional(b""), None);
}

#[test]
fn a_figure_of_a_control_group_is_found_by_its_whole_name() {
    let text = b"anon 5\ntotal_inactive_file 7\ninactive_file 6\n";
    assert_eq!(memory_stat(text, "inactive_file"), Some(6));
    assert_eq!(memory_stat(text, "file"), None);
}

#[test]
fn the_first_name_of_a_user_counts() {
    let users = users(
        b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nbot:x:1000:1000::/:\n",
    );
    assert_eq!(users.get(&0).map(String::as_str), Some("root"));
    assert_eq!(users.get(&1000).map(String::as_str), Some("bot"));
    assert_eq!(users.len(), 2);
}

#[test]
fn mounts_have_a_device_a_type_and_options() {
    let text = b"\
22 28 0:20 / /proc rw,nosuid shared:5 master:1 - proc proc rw,hidepid=invisible
28 1 254:1 / /a\\040b rw - ext4 /dev/vda rw,errors=remount-ro
30 1 0:40 /sub /srv rw - btrfs /dev/vdb rw
broken
";
    let mounts = mounts(text);
    let found: Vec<_> = mounts.iter().map(|m| (m.device, m.kind.as_str())).collect();
    let expected = [
        (makedev(0, 20), "proc"),
        (makedev(254, 1), "ext4"),
        (makedev(0, 40), "btrfs"),
    ];
    assert_eq!(found, expected);
    assert!(hides_processes(&mounts));
    assert!(!hides_processes(&mounts[1..]));
    for (how, hides) in [
        ("0", false),
        ("off", false),
        ("1", true),
        ("noaccess", true),
        ("2", true),
        ("4", true),
        ("ptraceable", true),
    ] {
        let line = format!("22 28 0:20 / /proc rw - proc proc rw,hidepid={how}\n");
        assert_eq!(
            hides_processes(&super::mounts(line.as_bytes())),
            hides,
            "{how}"
        );
    }
    assert!(!hides_processes(&super::mounts(
        b"22 28 0:20 / /proc rw - proc proc rw\n"
    )));
}

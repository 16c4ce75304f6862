//! The real node_exporter beside a disk of its own that can be filled: a small file system in a mount namespace
//! that ends with it, so that nothing of the machine's is touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seatpilot_testkit::Binary;

use crate::Tools;

/// Bytes of the disk: in memory, so not many.
const DISK_BYTES: usize = 8 << 20;

/// A node_exporter that tells of file systems only. Dropping it kills it, and its disk goes with it.
pub struct NodeExporter {
    process: Binary,
    mount_point: PathBuf,
}

impl NodeExporter {
    /// Runs it with an empty disk below `folder`, and waits until it answers. None where this machine lets nobody
    /// mount anything, not even in a namespace of his own.
    pub async fn start(tools: &Tools, folder: &Path, port: u16) -> Option<Self> {
        let mount_point = folder.join("disk");
        std::fs::create_dir_all(&mount_point).expect("the folder is writable");
        let namespaces = ["--mount", "--map-root-user"];
        // Root needs no user namespace, and may be where there are none.
        let namespaces = [&namespaces[..1], &namespaces[..]]
            .into_iter()
            .find(|namespaces| may_mount(namespaces, &mount_point))?;
        let place = mount_point.to_string_lossy();
        let proc = mount_table(folder, &place);
        let options = [
            format!("--web.listen-address=127.0.0.1:{port}"),
            format!("--path.procfs={}", proc.display()),
            // A test's folder may be where others have what comes and goes.
            "--collector.filesystem.mount-points-exclude=^$".to_owned(),
            "--collector.disable-defaults".to_owned(),
            "--collector.filesystem".to_owned(),
        ];
        let (exporter, script) = (tools.program("node_exporter"), mounting("\"$@\""));
        let exporter = exporter.to_string_lossy();
        let mut args = namespaces.to_vec();
        args.extend(["sh", "-c", &script, &place, &exporter]);
        args.extend(options.iter().map(String::as_str));
        let port = port.to_string();
        let mut process = Binary::spawn_with(Path::new("unshare"), &args, &[("PORT", &port)]);
        process.answers("/metrics").await;
        Some(Self { process, mount_point })
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// Where the disk is mounted, as node_exporter says it.
    pub fn mount_point(&self) -> std::borrow::Cow<'_, str> {
        self.mount_point.to_string_lossy()
    }

    /// Fills the disk to so many percent.
    pub fn fill(&self, percent: usize) {
        std::fs::write(self.file(), vec![0; DISK_BYTES / 100 * percent]).expect("there is room for it");
    }

    /// Empties the disk.
    pub fn empty(&self) {
        std::fs::remove_file(self.file()).expect("it was filled");
    }

    /// The file that fills it: in the namespace of the process, which `unshare` and `sh` have become.
    fn file(&self) -> PathBuf {
        let inside = self.mount_point.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.process.pid().to_string()).join("root").join(inside).join("filled")
    }
}

/// A table of mounts with this one disk, as if it were an ordinary one. node_exporter reads that of process 1, which is
/// in another namespace; and the machine's own disks, full or not, are not what is tested.
fn mount_table(folder: &Path, mount_point: &str) -> PathBuf {
    let proc = folder.join("proc");
    std::fs::create_dir_all(proc.join("1")).expect("the folder is writable");
    let line = format!("seatpilot-disk {mount_point} ext4 rw,relatime 0 0\n");
    std::fs::write(proc.join("1/mounts"), line).expect("the folder is writable");
    proc
}

/// A script that mounts the disk at `$0` and becomes another program.
fn mounting(then: &str) -> String {
    format!("mount -t tmpfs -o size={DISK_BYTES} seatpilot-disk \"$0\" && exec {then}")
}

fn may_mount(namespaces: &[&str], mount_point: &Path) -> bool {
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", &mounting("true")]).arg(mount_point);
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

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
        let address = format!("--web.listen-address=127.0.0.1:{port}");
        let (exporter, script) = (tools.program("node_exporter"), mounting("\"$@\""));
        let (exporter, place) = (exporter.to_string_lossy(), mount_point.to_string_lossy());
        let mut args = namespaces.to_vec();
        args.extend(["sh", "-c", &script, &place, &exporter, &address]);
        args.extend(["--collector.disable-defaults", "--collector.filesystem"]);
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
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
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

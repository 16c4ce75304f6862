//! A database with a small venue in it, and the command run against it.

use seatpilot_testkit::TestDb;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Run, seatpilot_in};

/// An empty, migrated database and a directory to work in.
pub(crate) struct House {
    pub(crate) db: TestDb,
    pub(crate) here: TempDir,
}

impl House {
    /// One with nothing in it.
    pub(crate) async fn empty() -> Self {
        Self { db: TestDb::new().await, here: tempfile::tempdir().unwrap() }
    }

    /// One with the venue `arena` of [`write_arena`].
    pub(crate) async fn with_arena() -> Self {
        let house = Self::empty().await;
        write_arena(&house);
        let run = house.run(&["venue", "import", "arena"]);
        assert_eq!(run.code, 0, "{run:?}");
        house
    }

    /// Runs the command against the database.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, b"")
    }

    /// The same, with a standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Run {
        seatpilot_in(self.here.path(), &[("DATABASE_URL", &self.db.owner_url())], args, input)
    }

    /// Runs it with `--json`, sees it work, and reads the last line.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let run = self.run(&[args, &["--json"]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap()
    }

    /// Writes a file into the directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.here.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// One number out of the database.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Four nodes in a row, two doors, two sections, and one link to a node that is not there.
pub(crate) fn write_arena(house: &House) {
    let node = |id: &str, lon: f64| {
        format!(
            r#"{{"type":"Feature","properties":{{"node_id":"{id}","lat":40.0,"lon":{lon},"ordinal":0.0,"in_out":"3"}},
                "geometry":{{"type":"Point","coordinates":[{lon},40.0]}}}}"#
        )
    };
    let link = |id: &str, start: &str, end: &str| {
        format!(
            r#"{{"type":"Feature","properties":{{"link_id":"{id}","start_id":"{start}","end_id":"{end}",
                "distance":10.0,"route_type":"1","direction":"1"}},"geometry":{{"type":"LineString",
                "coordinates":[[-3.0,40.0],[-3.0001,40.0]]}}}}"#
        )
    };
    let collection = |features: &[String]| {
        format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))
    };
    let nodes = [node("n1", -3.0), node("n2", -3.0001), node("n3", -3.0002), node("n4", -3.0003)];
    let links =
        [link("l1", "n1", "n2"), link("l2", "n2", "n3"), link("l3", "n3", "n4"), link("l4", "n4", "n9")];
    house.write("arena/nodes.geojson", &collection(&nodes));
    house.write("arena/links.geojson", &collection(&links));
    house.write(
        "arena/places.csv",
        "kind,id,name,level,lon,lat,node_id\ndoor,west,West gate,0,,,n4\ndoor,east,East gate,0,,,n1\n\
         section,A,Stand A,0,,,n2\nsection,B,Stand B,0,,,n3\n",
    );
}

//! The built-in venue: a theatre with tables on two storeys, so that the product runs without any file.
//!
//! It is made of formulas and is the same every time. Twelve sections, A to F on the ground and G to L above,
//! stand around two concourses of 80 by 60 m; section L is a gallery that only stairs lead to, so that the honest
//! answer to a wheelchair user can be seen.

use seatpilot_domain_model::NodeId;

use crate::{
    kind::{
        AmenityKind, Direction, Exposure, LandmarkKind, LiftFitness, LinkKind, PlaceKind, Slope, Threshold,
    },
    venue::{Amenity, Landmark, Link, Node, Place, Survey, Venue},
};

/// The middle of the house, nobody's address: a square of the Parque del Retiro.
const MIDDLE: [f64; 2] = [-3.6836, 40.4153];
/// Metres per degree of latitude, and of longitude at that latitude.
const METRES_PER_DEGREE: [f64; 2] = [84_680.0, 111_195.0];
/// Half the concourse's width and depth, in metres.
const HALF: [f64; 2] = [40.0, 30.0];
/// Nodes of a concourse, 10 m apart, clockwise from the north-west corner.
const RING: u32 = 28;
/// Tables of each section.
const TABLES: u32 = 5;
/// Seats of each table of sections A to C.
const SEATS: u32 = 6;

impl Venue {
    /// The built-in venue: 4 doors, 12 sections, 60 tables, 90 seats, 2 storeys.
    pub fn demo() -> Self {
        let mut house = House::default();
        for level in [0.0, 1.0] {
            house.concourse(level);
        }
        house.doors();
        house.ways_up();
        for (nth, letter) in ('A'..='L').enumerate() {
            house.section(nth, letter);
        }
        house.amenities();
        Self::publish(house.0).unwrap_or_else(|_| unreachable!("a test builds the demo venue"))
    }
}

#[derive(Default)]
struct House(Survey);

/// Where the nth node of a concourse stands, in metres east and north of the middle.
fn ring(nth: u32) -> [f64; 2] {
    let along = f64::from(nth % RING) * 10.0;
    let [width, depth] = [HALF[0] * 2.0, HALF[1] * 2.0];
    if along < width {
        [along - HALF[0], HALF[1]]
    } else if along < width + depth {
        [HALF[0], HALF[1] - (along - width)]
    } else if along < width * 2.0 + depth {
        [HALF[0] - (along - width - depth), -HALF[1]]
    } else {
        [-HALF[0], along - width * 2.0 - depth - HALF[1]]
    }
}

fn degrees([east, north]: [f64; 2]) -> [f64; 2] {
    // To a hundredth of a millimetre, as a survey would be written: the same digits everywhere.
    let round = |degrees: f64| (degrees * 1e10).round() / 1e10;
    [round(MIDDLE[0] + east / METRES_PER_DEGREE[0]), round(MIDDLE[1] + north / METRES_PER_DEGREE[1])]
}

fn storey(level: f64) -> char {
    if level == 0.0 { 'g' } else { 'u' }
}

impl House {
    fn node(&mut self, id: &str, at: [f64; 2], level: f64, exposure: Exposure) -> u32 {
        let [lon, lat] = degrees(at);
        if let Ok(id) = id.parse::<NodeId>() {
            self.0.nodes.push(Node { id, lon, lat, level, exposure });
        }
        u32::try_from(self.0.nodes.len()).unwrap_or(u32::MAX) - 1
    }

    fn find(&self, id: &str) -> u32 {
        let at = self.0.nodes.iter().position(|node| node.id.as_str() == id).unwrap_or(usize::MAX);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn ring_node(&self, level: f64, nth: u32) -> u32 {
        self.find(&format!("{}{:02}", storey(level), nth % RING))
    }

    fn link(&mut self, start: u32, end: u32, kind: LinkKind, metres: f64) -> &mut Link {
        let id = format!("w{:03}", self.0.links.len() + 1);
        self.0.links.push(Link {
            id,
            start,
            end,
            kind,
            direction: Direction::Both,
            distance_m: metres,
            threshold: Threshold::Low,
            slope: Slope::Gentle,
            lift: LiftFitness::None,
            shape: Vec::new(),
        });
        let last = self.0.links.len() - 1;
        &mut self.0.links[last]
    }

    fn concourse(&mut self, level: f64) {
        for nth in 0..RING {
            self.node(&format!("{}{nth:02}", storey(level)), ring(nth), level, Exposure::Inside);
        }
        for nth in 0..RING {
            let (a, b) = (self.ring_node(level, nth), self.ring_node(level, nth + 1));
            self.link(a, b, LinkKind::Plain, 10.0);
        }
    }

    /// North and south are level, west has a ramp, east has steps.
    fn doors(&mut self) {
        let doors = [
            ("north", 4, [0.0, 8.0]),
            ("east", 11, [8.0, 0.0]),
            ("south", 18, [0.0, -8.0]),
            ("west", 25, [-8.0, 0.0]),
        ];
        for (name, nth, [east, north]) in doors {
            let [x, y] = ring(nth);
            let door = self.node(&format!("{name}-door"), [x + east, y + north], 0.0, Exposure::Boundary);
            let street = self.node(
                &format!("{name}-street"),
                [x + east * 2.5, y + north * 2.5],
                0.0,
                Exposure::Outside,
            );
            let inside = self.ring_node(0.0, nth);
            self.link(street, door, LinkKind::Plain, 12.0);
            match name {
                "west" => self.link(door, inside, LinkKind::Ramp, 8.0).slope = Slope::SteepUp,
                "east" => self.link(door, inside, LinkKind::Plain, 8.0).threshold = Threshold::Over2Cm,
                _ => {
                    self.link(door, inside, LinkKind::Plain, 8.0);
                }
            }
            let title = format!("{}{} door", name[..1].to_uppercase(), &name[1..]);
            let at = [x + east, y + north];
            self.place(PlaceKind::Door, name, Some(title.clone()), at, 0.0, door);
            self.landmark(LandmarkKind::Door, Some(title), at, 0.0);
            self.0.amenities.push(Amenity { kind: AmenityKind::Exit, node: door });
        }
    }

    /// Two staircases, an escalator up, and a lift.
    fn ways_up(&mut self) {
        for nth in [8, 22] {
            let (down, up) = (self.ring_node(0.0, nth), self.ring_node(1.0, nth));
            let [x, y] = ring(nth);
            let landing = self.node(&format!("stairs-{nth}"), [x * 1.1, y * 1.2], 0.0, Exposure::Inside);
            self.link(down, landing, LinkKind::Stairs, 5.0);
            self.link(landing, up, LinkKind::Stairs, 5.0);
        }
        let (down, up) = (self.ring_node(0.0, 14), self.ring_node(1.0, 15));
        self.link(down, up, LinkKind::Escalator, 12.0).direction = Direction::Forward;
        let [x, y] = ring(1);
        let car = [0.0, 1.0].map(|level| {
            let car = self.node(&format!("lift-{}", storey(level)), [x, y + 3.0], level, Exposure::Inside);
            let lobby = self.ring_node(level, 1);
            self.link(lobby, car, LinkKind::Lift, 0.0).lift = LiftFitness::WheelchairAndBlind;
            self.landmark(LandmarkKind::Lift, None, [x, y + 3.0], level);
            self.0.amenities.push(Amenity { kind: AmenityKind::Lift, node: lobby });
            car
        });
        self.link(car[0], car[1], LinkKind::Lift, 0.0).lift = LiftFitness::WheelchairAndBlind;
    }

    /// An aisle from the concourse inwards, five tables along it.
    fn section(&mut self, nth: usize, letter: char) {
        let level = if nth < 6 { 0.0 } else { 1.0 };
        let on_ring = [2, 6, 12, 16, 20, 26][nth % 6];
        let [x, y] = ring(on_ring);
        let mut last = self.ring_node(level, on_ring);
        for row in 1..=TABLES {
            let inwards = 1.0 - f64::from(row) * 0.12;
            let at = [x * inwards, y * inwards];
            let node = self.node(&format!("{letter}{row}").to_lowercase(), at, level, Exposure::Inside);
            let metres = (x * 0.12).hypot(y * 0.12);
            let first = row == 1;
            let kind = if letter == 'L' && first { LinkKind::Stairs } else { LinkKind::Plain };
            self.link(last, node, kind, (metres * 10.0).round() / 10.0);
            if first {
                let name = format!("{} {letter}", if nth < 6 { "Stalls" } else { "Circle" });
                self.place(PlaceKind::Section, &letter.to_string(), Some(name), at, level, node);
            }
            let table = format!("T{:02}", u32::try_from(nth).unwrap_or(0) * TABLES + row);
            self.place(PlaceKind::Table, &table, None, at, level, node).section = Some(letter.to_string());
            for seat in 1..=(if letter <= 'C' { SEATS } else { 0 }) {
                let place = self.place(PlaceKind::Seat, &format!("{table}-{seat}"), None, at, level, node);
                place.table = Some(table.clone());
                place.section = Some(letter.to_string());
            }
            last = node;
        }
    }

    fn amenities(&mut self) {
        let things = [
            (AmenityKind::Toilets, LandmarkKind::Toilets, 10, 0.0),
            (AmenityKind::Toilets, LandmarkKind::Toilets, 24, 0.0),
            (AmenityKind::Toilets, LandmarkKind::Toilets, 10, 1.0),
            (AmenityKind::AccessibleToilets, LandmarkKind::AccessibleToilets, 0, 0.0),
            (AmenityKind::AccessibleToilets, LandmarkKind::AccessibleToilets, 0, 1.0),
            (AmenityKind::Information, LandmarkKind::Information, 5, 0.0),
            (AmenityKind::FirstAid, LandmarkKind::FirstAid, 17, 0.0),
        ];
        for (amenity, landmark, nth, level) in things {
            let node = self.ring_node(level, nth);
            self.0.amenities.push(Amenity { kind: amenity, node });
            self.landmark(landmark, None, ring(nth), level);
        }
        let at = ring(4);
        let node = self.ring_node(0.0, 4);
        self.place(PlaceKind::Sign, "foyer", Some("Foyer sign".to_owned()), at, 0.0, node);
    }

    fn place(
        &mut self,
        kind: PlaceKind,
        id: &str,
        name: Option<String>,
        at: [f64; 2],
        level: f64,
        node: u32,
    ) -> &mut Place {
        let [lon, lat] = degrees(at);
        let id = id.to_owned();
        self.0.places.push(Place { kind, id, name, level, lon, lat, node, table: None, section: None });
        let last = self.0.places.len() - 1;
        &mut self.0.places[last]
    }

    fn landmark(&mut self, kind: LandmarkKind, name: Option<String>, at: [f64; 2], level: f64) {
        let [lon, lat] = degrees(at);
        self.0.landmarks.push(Landmark { kind, name, level, lon, lat });
    }
}

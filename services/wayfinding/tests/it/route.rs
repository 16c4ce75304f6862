//! A way is asked for.

use serde_json::Value;

use crate::sign::Sign;

#[tokio::test]
async fn a_route_has_words_and_lines_and_its_steps_add_up() {
    let sign = Sign::of(0).await;
    let (door, section) =
        (format!("door:{}", sign.evening.door), format!("section:{}", sign.evening.section));
    let reply = sign.ask(&[("venue_id", "hall"), ("from", &door), ("to", &section)]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let sum: f64 =
        body["steps"].as_array().unwrap().iter().map(|step| step["distance_m"].as_f64().unwrap()).sum();
    assert!((sum - body["distance_m"].as_f64().unwrap()).abs() < 0.51, "{sum} {body}");
    assert_eq!(body["geometry"]["type"], "FeatureCollection");
    assert!(body["geometry"]["features"].as_array().unwrap().iter().all(|feature| {
        feature["geometry"]["type"] == "LineString" && feature["properties"]["level"].is_number()
    }));
    let spanish =
        sign.ask(&[("venue_id", "hall"), ("from", &door), ("to", &section), ("lang", "es")]).await.json();
    assert_ne!(spanish["steps"][0]["text"], body["steps"][0]["text"]);
}

#[tokio::test]
async fn the_nearest_amenity_is_a_destination() {
    let sign = Sign::of(0).await;
    let door = format!("door:{}", sign.evening.door);
    for amenity in ["toilets", "accessible_toilets", "lift", "exit", "information", "first_aid"] {
        let to = format!("amenity:{amenity}");
        let reply = sign.ask(&[("venue_id", "hall"), ("from", &door), ("to", &to)]).await;
        assert_eq!(reply.status, 200, "{amenity} {reply:?}");
    }
}

#[tokio::test]
async fn what_is_missing_malformed_or_unknown_is_told_apart() {
    let sign = Sign::of(0).await;
    let door = format!("door:{}", sign.evening.door);
    let good: [(&str, &str); 3] = [("venue_id", "hall"), ("from", &door), ("to", "amenity:exit")];
    for missing in ["venue_id", "from", "to"] {
        let query: Vec<_> = good.into_iter().filter(|(name, _)| *name != missing).collect();
        let reply = sign.ask(&query).await;
        assert_eq!(reply.problem(), (422, "schema_violation".into()));
        assert_eq!(reply.json()["errors"][0]["pointer"], format!("/query/{missing}"));
    }
    for (name, value) in
        [("profile", "fly"), ("lang", "xx"), ("to", ""), ("from", "castle:x"), ("from", "amenity:exit")]
    {
        let mut query: Vec<_> = good.into_iter().filter(|(known, _)| *known != name).collect();
        query.push((name, value));
        let reply = sign.ask(&query).await;
        assert_eq!(reply.problem(), (422, "schema_violation".into()), "{name}={value}");
        assert_eq!(reply.json()["errors"][0]["pointer"], Value::from(format!("/query/{name}")));
    }
    let unknown = sign.ask(&[("venue_id", "hall"), ("from", &door), ("to", "section:nowhere")]).await;
    assert_eq!(unknown.problem(), (404, "place_unknown".into()));
    let elsewhere = sign.ask(&[("venue_id", "elsewhere"), ("from", &door), ("to", "amenity:exit")]).await;
    assert_eq!(elsewhere.problem(), (403, "forbidden".into()));
    let nobody = reqwest::get(format!("{}/api/wayfinding/route?venue_id=hall", sign.url)).await.unwrap();
    assert_eq!(nobody.status(), 401);
}

-- telemetry_retain
select made, dropped, ids, letters, nonce_slots from telemetry.retain()

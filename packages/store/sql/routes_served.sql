-- routes_served
select telemetry.routes_served($1, $2, $3, $4)

-- metering_tick
select outcome, rows_read, caught_up from app.metering_tick('kpi-refresher')

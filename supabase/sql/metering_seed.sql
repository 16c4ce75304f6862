-- Run by hand: a price list and a demo tenant with two months of usage, counted. Twice changes nothing.
--   psql "$DATABASE_URL" -f supabase/sql/metering_seed.sql
select * from app.seed_metering_demo();
select app.ops_metering_seed_daily();
select * from app.metering_roll();

-- schema_version
select max(version) from supabase_migrations.schema_migrations

-- tenant_list
select t.tenant_id from ops.tenant_ids() as t (tenant_id)

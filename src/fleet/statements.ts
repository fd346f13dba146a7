/** One statement, so that it is atomic and the embedded PostgreSQL takes it too. The checks come first because
 * CREATE … IF NOT EXISTS asks for rights on the schema even where the table is there. */
export const CREATE = `do $$ begin
  if to_regclass('redoubt_epoch') is null then
    create table redoubt_epoch (name text primary key, epoch bigint not null);
  end if;
  if (select count(*) from pg_attribute where attrelid = to_regclass('redoubt_epoch')
      and attname in ('run_id', 'trusted_at') and not attisdropped) < 2 then
    alter table redoubt_epoch add column if not exists run_id text not null default '',
      add column if not exists trusted_at timestamptz not null default '-infinity';
  end if;
  if to_regclass('redoubt_instance') is null then
    create table redoubt_instance (instance text primary key, lease_until timestamptz not null, blind_until timestamptz);
  end if;
exception when duplicate_table or duplicate_object or unique_violation or duplicate_column then null;
end $$`;

/** $1 instance, $2 lease in ms, $3 blind listing in ms, $4 name of the epoch. Extends a listing that holds, and makes none. */
export const BEAT = `with me as (
  insert into redoubt_instance as i (instance, lease_until) values ($1, now() + $2 * interval '1 ms')
  on conflict (instance) do update set lease_until = excluded.lease_until,
    blind_until = case when i.blind_until > now() then now() + $3 * interval '1 ms' else i.blind_until end
  returning blind_until
)
select coalesce(e.epoch, 0) as epoch, coalesce(e.run_id, '') as run_id,
  greatest(0, coalesce(extract(epoch from nullif(e.trusted_at, '-infinity') - now()) * 1000, 0))::float8 as hold_ms,
  me.blind_until > now() as listed,
  coalesce((select json_agg(json_build_object('instance', i.instance, 'blind', i.blind_until is not null,
      'lapsed', coalesce(i.blind_until <= now(), false)) order by i.instance)
    from redoubt_instance i
    where i.instance <> $1 and (i.lease_until > now() or i.blind_until is not null)), '[]'::json) as others
from me left join redoubt_epoch e on e.name = $4`;

/** $1 instance, $2 lease in ms, $3 blind listing in ms. */
export const LIST = `insert into redoubt_instance as i (instance, lease_until, blind_until)
values ($1, now() + $2 * interval '1 ms', now() + $3 * interval '1 ms')
on conflict (instance) do update set lease_until = excluded.lease_until, blind_until = excluded.blind_until
returning (select count(*) from redoubt_instance o where o.instance <> $1 and o.lease_until > now())::int as others`;

/** $1 instance, $2 name, $3 floor, $4 run id, $5 hold in ms. Ends the own listing and every one that has lapsed. */
export const RAISE = `with mine as (
  update redoubt_instance set blind_until = null where instance = $1 and blind_until is not null
), gone as (
  delete from redoubt_instance where instance <> $1
    and (blind_until <= now() or (blind_until is null and lease_until < now() - interval '1 minute'))
), others as (
  -- Of one that has just been lost, a statement may still be under way.
  select count(*) as n from redoubt_instance where instance <> $1 and lease_until > now() - $5 * interval '1 ms'
)
insert into redoubt_epoch as e (name, epoch, run_id, trusted_at)
select $2, $3::bigint + 1, $4, case when n = 0 then '-infinity' else now() + $5 * interval '1 ms' end from others
on conflict (name) do update set epoch = greatest(e.epoch, $3::bigint) + 1, run_id = excluded.run_id,
  trusted_at = greatest(e.trusted_at, excluded.trusted_at)
returning epoch, greatest(0, coalesce(extract(epoch from nullif(trusted_at, '-infinity') - now()) * 1000, 0))::float8 as hold_ms`;

/** $1 instance, $2 name, $3 hold in ms. As RAISE, where another's listing has lapsed; changes nothing where none has. */
export const SWEEP = `with gone as (
  delete from redoubt_instance where instance <> $1 and blind_until <= now() returning 1
)
insert into redoubt_epoch as e (name, epoch, trusted_at)
select $2, 1, now() + $3 * interval '1 ms' where exists (select from gone)
on conflict (name) do update set epoch = e.epoch + 1, trusted_at = greatest(e.trusted_at, excluded.trusted_at)`;

/** $1 instance. A listing stays: only a raise may end it. */
export const LEAVE = `delete from redoubt_instance where instance = $1 and blind_until is null`;

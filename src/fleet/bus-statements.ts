/** One statement, so that it is atomic and the embedded PostgreSQL takes it too; see statements.ts for its form. */
export const CREATE = `do $$ begin
  if to_regclass('redoubt_bus') is null then
    create table redoubt_bus (id bigserial primary key, sender text not null, body text not null,
      at timestamptz not null default now());
  end if;
  if to_regclass('redoubt_bus_floor') is null then
    create table redoubt_bus_floor (name text primary key, floor bigint not null);
  end if;
  if to_regclass('redoubt_bus_apart') is null then
    create table redoubt_bus_apart (sender text primary key, lease_until timestamptz not null);
  end if;
exception when duplicate_table or unique_violation then null;
end $$`;

/** Writers take turns, so that ids become visible in their order and a reader never skips one that commits late. */
const TURN = `turn as materialized (select pg_advisory_xact_lock(7203, 1))`;

/**
 * $1 sender, $2 bodies, $3 lease in ms where the sender is apart, else null. Answers the last id.
 * Listed by the same statement: what an instance tells that is not listed is in Redis, for all who read it.
 */
export const PUBLISH = `with ${TURN}, listed as (
  insert into redoubt_bus_apart (sender, lease_until)
  select $1, now() + $3::float8 * interval '1 ms' from turn where $3 is not null
  on conflict (sender) do update set lease_until = excluded.lease_until
), added as (
  insert into redoubt_bus (sender, body)
  select $1, t.body from turn, unnest($2::text[]) with ordinality as t (body, n) order by t.n
  returning id
)
select max(id)::text as id from added`;

/** $1 sender, $2 last id that was read, $3 most rows. One snapshot of everything. */
export const POLL = `select
  coalesce((select floor from redoubt_bus_floor where name = 'bus'), 0)::text as floor,
  coalesce((select max(id) from redoubt_bus), 0)::text as last,
  coalesce((select json_agg(json_build_object('sender', sender, 'lapsed', lease_until < now()))
    from redoubt_bus_apart where sender <> $1), '[]'::json) as apart,
  coalesce((select json_agg(json_build_object('id', r.id::text, 'sender', r.sender, 'body', r.body) order by r.id)
    from (select id, sender, body from redoubt_bus where id > $2::bigint order by id limit $3) r), '[]'::json) as rows`;

/** $1 sender, $2 lease in ms. */
export const PART = `insert into redoubt_bus_apart (sender, lease_until) values ($1, now() + $2 * interval '1 ms')
on conflict (sender) do update set lease_until = excluded.lease_until`;

const FLOOR = `insert into redoubt_bus_floor as f (name, floor)
select 'bus', max(id) from gone having max(id) is not null
on conflict (name) do update set floor = greatest(f.floor, excluded.floor)`;

/** $1 sender. It works with Redis again: what it told has reached Redis. */
export const REJOIN = `delete from redoubt_bus_apart where sender = $1`;

/** $1 sender, $2 age in ms. Its own messages of that age, and everybody's who is not apart and has left them behind. */
export const TRIM = `with ${TURN}, gone as (
  delete from redoubt_bus b using turn where (sender = $1 and at < now() - $2 * interval '1 ms')
    or (at < now() - interval '10 minutes' and not exists (select from redoubt_bus_apart a where a.sender = b.sender))
  returning id
) ${FLOOR}`;

/** $1 sender, $2 id. What came before that message is contained in it. */
export const COLLAPSE = `delete from redoubt_bus where sender = $1 and id < $2::bigint`;

/** $1 an instance that has died apart, once a new epoch makes up for what it did not tell. */
export const BURY = `with ${TURN}, dead as (
  delete from redoubt_bus_apart using turn where sender = $1 and lease_until < now() returning sender
), gone as (
  delete from redoubt_bus where sender in (select sender from dead) returning id
) ${FLOOR}`;

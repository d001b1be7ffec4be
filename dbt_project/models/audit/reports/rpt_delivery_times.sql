with attempts as (
    select * from {{ ref('fct_attempts') }}
),

minutes as (
    select
        run_id,
        entity_type,
        date_trunc('minute', sent_at) as minute,
        count(*) as requests,
        count(distinct record_number) as records,
        count(*) filter (status_code between 200 and 299) as answers_2xx,
        count(*) filter (status_code between 300 and 499 and status_code not in (409, 429)) as answers_3xx_4xx,
        count(*) filter (status_code = 409) as answers_409,
        count(*) filter (status_code = 429) as answers_429,
        count(*) filter (status_code >= 500) as answers_5xx,
        count(*) filter (status_code is null) as without_answer,
        round(median(response_time_ms), 1) as median_response_ms,
        round(quantile_cont(response_time_ms, 0.95), 1) as p95_response_ms,
        round(max(response_time_ms), 1) as max_response_ms,
        round(sum(waited_ms), 1) as waited_ms,
        epoch(max(sent_at) - min(sent_at)) as seconds
    from attempts
    group by run_id, entity_type, minute
),

delivery_times as (
    select
        * exclude (seconds),
        -- The first and the last minute of a run are seldom whole: there is one gap fewer than requests between these.
        if(requests > 1, round(60 * (requests - 1) / greatest(seconds, 1), 1), null) as requests_per_minute
    from minutes
)

select * from delivery_times

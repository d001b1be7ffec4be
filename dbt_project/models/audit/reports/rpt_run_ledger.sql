with runs as (
    select * from {{ ref('fct_runs') }}
),

ledger as (
    select
        run_id,
        mode,
        source_file,
        total_records,
        parse_error_records,
        invalid_records,
        duplicate_records,
        excepted_records,
        ready_records,
        created_records,
        exists_records,
        failed_records,
        unknown_records,
        not_attempted_records,
        total_records
        = parse_error_records + invalid_records + duplicate_records + excepted_records + ready_records
        and ready_records
        = created_records + exists_records + failed_records + unknown_records + not_attempted_records as closes
    from runs
)

select * from ledger

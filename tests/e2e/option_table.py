"""Which test is red if an option of a command is read and then forgotten. program_options_test.py
demands a row for each option that any --help lists.
"""

# Where a test uses an option's short name.
SHORT = {"--model": "-m", "--output": "-o", "--prompt": "-p", "--quiet": "-q", "--verbose": "-v"}

ASKING = ("watch jobs status explain results cancel pause resume retry forget workers drain pools "
          "submit")  # the commands that ask a coordinator

# (test, commands, options); the command of a node is its program's name, a space in it a dash.
ROWS = [
    ("options_test.Requests.test_all_that_shapes_a_request_is_in_it_and_nothing_else",
     "run submit", "--model --prompt-file --system --id-field --text-field "
     "--keep --param --max-tokens --temperature --json-schema"),
    ("options_test.Requests.test_a_prompt_on_the_command_line_and_the_task_of_embedding",
     "run submit", "--prompt --task"),
    ("options_test.Requests.test_first_items_only_in_the_order_of_their_answers",
     "run submit", "--order --limit"),
    ("options_test.Requests.test_a_line_longer_than_allowed_is_an_error_line",
     "run submit", "--max-line-bytes"),
    ("options_test.Requests.test_the_fallback_model_answers_what_the_first_cannot",
     "run submit", "--fallback-model"),
    ("options_test.Failures.test_a_call_ends_at_its_timeout_and_is_tried_again_as_often_as_told",
     "run submit", "--timeout --retries"),
    ("options_test.Failures.test_connecting_ends_at_its_own_timeout",
     "run submit", "--connect-timeout"),
    ("options_test.Failures.test_a_job_stops_when_so_many_items_have_failed",
     "run submit", "--max-failures"),
    ("options_test.Budgets.test_requests_tokens_and_calls_in_flight_stay_below_their_limits",
     "run submit", "--rpm --tpm --max-in-flight"),
    ("budget_test.Money.test_a_run_stops_at_its_cap_and_goes_on_with_a_higher_one",
     "run", "--budget-usd"),
    ("budget_test.Money.test_the_cap_holds_in_a_cluster_whose_worker_is_killed",
     "submit resume", "--budget-usd"),
    ("options_test.Batches.test_no_more_calls_are_sent_together_than_told",
     "run submit", "--batch-size"),
    ("tasks_test.Classify.test_each_item_gets_its_label_and_the_summary_counts_them",
     "run", "--labels"),
    ("tasks_test.Classify.test_a_cluster_classifies_too", "submit", "--labels"),
    ("cluster_test.Cluster.test_a_job_uses_its_own_endpoints_or_its_models_and_no_others",
     "submit", "--endpoint"),
    ("run_test.Run.test_every_item_once_in_order_with_its_answer", "run", "--endpoint --output"),
    ("run_test.Run.test_another_prompt_is_refused_and_restart_begins_anew", "run", "--restart"),
    ("night_test.Night.test_failed_items_are_run_again_and_no_others", "run", "--retry-failed"),
    ("night_test.Night.test_a_wrong_key_stops_the_job_and_costs_no_item", "run", "--api-key-env"),
    ("night_test.Night.test_strict_fails_the_job_at_the_first_bad_line", "run", "--strict"),
    ("output_test.StandardOutput.test_lines_come_while_the_job_runs_and_only_durable_ones",
     "run", "--state"),
    ("dry_run_test.DryRun.test_it_calls_nothing_writes_nothing_and_says_what_would_be_done",
     "run", "--dry-run"),
    ("pools_test.Pools.test_run_reads_its_options_and_its_pools", "run", "--config"),
    ("program_options_test.Run.test_as_many_workers_with_as_many_calls_each_as_told",
     "run", "--workers --concurrency"),
    ("program_options_test.Run.test_after_its_drain_time_it_waits_no_longer",
     "run", "--drain-timeout"),
    ("program_options_test.Run.test_the_key_of_a_file_is_sent", "run", "--api-key-file"),
    ("program_options_test.Run.test_it_says_as_much_as_told",
     "run", "--quiet --verbose --no-progress --json"),
    ("submit_test.Submit.test_a_job_gets_no_key_that_the_worker_was_not_told_to_give",
     "submit", "--api-key-env --api-key-file"),
    ("submit_test.Submit.test_a_directory_of_many_documents_is_uploaded_or_read_in_place",
     "submit", "--in-place --wait --output"),
    ("submit_test.Submit.test_a_strict_job_with_a_bad_line_makes_no_call", "submit", "--strict"),
    ("pools_test.Pools.test_a_bad_configuration_ends_with_2_and_its_place", "submit", "--config"),
    ("program_options_test.Cluster.test_waiting_for_a_job_says_as_much_as_told",
     "submit watch", "--quiet --no-progress"),
    ("program_options_test.Cluster.test_every_command_asks_whom_it_is_told_with_a_token_and_answers_in_json",
     ASKING, "--server --token-file --json"),
    ("cli_test.Cluster.test_the_commands_print_aligned_tables_or_json", "results", "--output"),
    ("night_test.Night.test_in_a_cluster_a_job_is_paused_resumed_and_retried", "retry", "--class"),
    ("share_test.Share.test_calls_follow_the_weights_while_both_have_work", "submit", "--weight"),
    ("share_test.Share.test_a_higher_priority_overtakes", "submit", "--priority"),
    ("share_test.Share.test_a_job_is_in_time_that_would_be_late_by_its_share",
     "submit", "--deadline"),
    ("explain_test.Explain.test_an_item_on_its_way", "explain", "--item"),
    ("night_test.Night.test_a_state_directory_is_verified_and_shown",
     "journal-verify journal-show", "--json"),
    ("night_test.Night.test_a_state_directory_is_verified_and_shown", "journal-show", "--commits"),
    ("two_machines_test.TwoMachines.test_a_job_runs_on_the_other_machine_with_the_keys_that_were_made",
     "keygen", "--address"),
    ("cluster_test.Cluster.test_the_coordinator_dies_and_comes_back",
     "gristmill-coordinator", "--listen --http"),
    ("night_test.Night.test_a_forgotten_job_leaves_nothing_behind_and_its_number_is_not_used_again",
     "gristmill-coordinator", "--state"),
    ("cluster_test.Cluster.test_only_who_has_a_key_joins_and_asks",
     "gristmill-coordinator gristmill-worker", "--keys"),
    ("submit_test.Submit.test_a_directory_of_many_documents_is_uploaded_or_read_in_place",
     "gristmill-coordinator", "--data-root"),
    ("program_options_test.Cluster.test_every_command_asks_whom_it_is_told_with_a_token_and_answers_in_json",
     "gristmill-coordinator", "--token-file"),
    ("program_options_test.Cluster.test_after_its_drain_time_a_coordinator_waits_no_longer",
     "gristmill-coordinator", "--drain-timeout"),
    ("pools_test.Pools.test_lines_go_to_the_pools_of_their_models",
     "gristmill-coordinator", "--config"),
    ("program_options_test.Cluster.test_nodes_log_as_much_as_told",
     "gristmill-coordinator gristmill-worker", "--quiet --verbose"),
    ("cluster_test.Cluster.test_an_announced_endpoint_serves_the_jobs_of_its_model",
     "gristmill-worker", "--endpoint --model"),
    ("cluster_test.Cluster.test_the_coordinator_dies_and_comes_back",
     "gristmill-worker", "--coordinator"),
    ("two_machines_test.TwoMachines.test_a_job_runs_on_the_other_machine_with_the_keys_that_were_made",
     "gristmill-worker", "--access"),
    ("cli_test.Cluster.test_a_drained_worker_ends_in_peace_and_the_others_finish",
     "gristmill-worker", "--name"),
    ("program_options_test.Cluster.test_a_worker_has_no_more_calls_in_flight_than_told",
     "gristmill-worker", "--concurrency"),
    ("program_options_test.Cluster.test_a_worker_sends_the_key_of_its_endpoint",
     "gristmill-worker", "--api-key-env --api-key-file"),
    ("submit_test.Submit.test_a_job_gets_no_key_that_the_worker_was_not_told_to_give",
     "gristmill-worker", "--allow-key"),
    ("program_options_test.Cluster.test_after_its_drain_time_a_worker_waits_no_longer",
     "gristmill-worker", "--drain-timeout"),
    ("pools_test.Pools.test_a_worker_announces_what_its_configuration_says",
     "gristmill-worker", "--config"),
    ("program_options_test.Table.test_programs_say_their_version",
     "gristmill gristmill-coordinator gristmill-worker", "--version"),
]


def table():
    """(command, option) -> "module.Class.test"."""
    found = {}
    for test, commands, options in ROWS:
        for command in commands.split():
            for option in options.split():
                assert (command, option) not in found, (command, option)
                found[command.replace("-verify", " verify").replace("-show", " show"), option] = test
    return found

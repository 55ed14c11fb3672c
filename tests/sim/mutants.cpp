#include "tests/sim/mutants.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <array>

namespace gristmill {
std::string_view mutants::chosen_mutant;
} // namespace gristmill

namespace gristmill::sim {
namespace {

constexpr std::array table{std::to_array<Mutant>(
    {{"ack_before_journal", "Recorded is told before the line is durable", 1},
     {"dup_ack_overtakes_commit", "a repeated outcome is acknowledged at once", 163},
     {"count_before_durable", "lines count, and end a job, before they are durable", 1},
     {"job_told_before_durable", "a job's state is told before it is durable", 10},
     {"welcome_before_durable", "a session begins before the journal shows it open", 1},
     {"grant_not_journaled", "a block is drawn from before it is durable", 1},
     {"block_without_end", "a block is drawn from after its end", 2},
     {"block_life_from_request", "a block's end does not reckon with the time of commits", 26},
     {"closed_block_is_free", "a block of an earlier life counts as if nothing was drawn", 1385},
     {"no_mark_check", "a block covers every item, whatever its mark", 29},
     {"attempt_id_reuse", "attempt ids of each life begin anew", 4},
     {"window_reset_on_restart", "blocks of earlier lives do not count", 14},
     {"day_reset_on_restart", "what a day has taken in earlier lives does not count", 11},
     {"day_without_open_blocks", "notes of a day leave out what blocks may still draw", 478},
     {"money_reset_on_restart", "what a job has cost in earlier lives does not count", 774},
     {"wall_clock_window", "windows are measured by the wall clock", 1},
     {"no_drift_margin", "a hold leaves nothing for the error of clocks", 211},
     {"no_lease_check_in_worker", "a permit never ends", 14},
     {"lease_from_receipt", "a permit lives from its receipt", 671},
     {"spare_permit_lives_from_receipt", "a permit that was asked for ahead lives from its receipt",
      87},
     {"returned_permit_used", "a permit is used after it was given back", 28},
     {"gate_without_end", "a call that waits to leave does not look at its permit again", 14},
     {"refund_on_expiry", "what a lost call was charged is given back", 19},
     {"settle_to_zero", "an answer without usage is charged nothing", 2729},
     {"slot_not_freed", "the slot of a lost call is never free again", 56},
     {"hidden_retry_in_worker", "a worker sends a call a second time", 1},
     {"result_sent_once", "a new session is not told what the last one kept", 11},
     {"outbox_cleared_by_any_recorded", "a Recorded clears the whole outbox", 44},
     {"no_lease_expiry", "a session whose connection is closed is never given up", 47},
     {"silence_is_no_loss", "a silent session is never given up", 1},
     {"no_requeue_after_restart", "what nobody claims after a restart is forgotten", 4},
     {"no_item_mark", "after a restart nothing is known to be called already", 43},
     {"claim_ignored", "a claim does not keep its item from being called again", 71},
     {"kept_outcome_dropped", "an outcome of an earlier life is not wanted", 44},
     {"no_epoch_fencing", "sessions of all lives have the same numbers", 57},
     {"frame_without_session", "frames of other sessions are heard", 128},
     {"gap_ignored", "a gap in the numbers is passed over", 75},
     {"outcome_of_another_session", "an outcome counts whoever tells it", 11},
     {"claim_without_proof", "a claim is believed whoever makes it", 897},
     {"call_without_end", "a call may stay with its worker for ever", 68},
     {"held_without_end", "what a live worker holds stays with it", 709},
     {"hung_is_fed", "a worker that does not end its calls is given others", 3374},
     {"returned_of_another_attempt", "a returned call is believed whatever its attempt", 92},
     {"death_counted_at_own_crash", "the coordinator's own crash counts as a worker's death", 4},
     {"lost_consumes_attempt", "a lost worker counts against the retries", 2},
     {"fault_costs_attempt", "an endpoint's fault counts against the retries", 1},
     {"debt_paid_twice", "a time-out counts twice when others were answered meanwhile", 11},
     {"answered_part_called_again", "after a restart parts that have ended are called again", 4},
     {"part_line_ends_item", "an item ends with the first of its parts", 10},
     {"answer_to_wrong_part", "a part gets the answer of another part of its call", 1},
     {"trials_together", "several calls at a time try whether more inputs are taken", 190},
     {"refused_pack_goes_again", "a call of several parts that is refused is made again as it was",
      976},
     {"pack_bounded_by_its_first", "a call may cost as much as its first part", 261},
     {"repaired_for_ever", "an answer that does not fit is repaired until it does", 2},
     {"repair_says_nothing", "the model is not told what is wrong with its answer", 18},
     {"call_freed_for_one_part", "of a lost call only one part is called again", 47},
     {"judge_of_failed_item", "the judge is asked about an item of which an answer is missing", 45},
     {"reduce_of_failed_item", "answers are reduced though one is missing", 15},
     {"answer_sizes_forgotten", "after a restart other answers are reduced together", 43},
     {"tokenizer_is_forgotten", "after a restart documents are divided by the estimate", 15},
     {"step_sees_all", "what joins some answers sees all of its item", 2},
     {"all_ask_first_model", "every part asks for the job's first model", 4},
     {"room_for_one_model", "all room is taken to be for calls of the first model", 4},
     {"followers_are_called", "each of equal requests is called", 1},
     {"key_is_not_kept", "what was answered before a restart, or long ago, is asked again", 1},
     {"key_without_model", "the answers of one model are taken for another's", 27},
     {"follower_hears_too_early", "an answer is looked for before it is durable", 1},
     {"nobody_leads_on", "who waits for another's answer waits for ever if that one is given up",
      2045},
     {"leader_ends_all", "who is given up takes all that ask the same with it", 2045},
     {"cache_is_not_asked", "what an earlier job asked is asked again", 6},
     {"fallback_answer_kept", "the cache has another model's answer", 122},
     {"dropped_are_forgotten", "what was left out before a restart is not counted", 1},
     {"dropped_ids_are_taken", "after a restart the ids of what is left out are taken", 84},
     {"key_is_forgotten", "what was appended before is appended again", 1},
     {"close_is_forgotten", "a job that was closed before a restart waits for more", 4},
     {"growth_is_not_heard", "an input that has no more now is not looked at again", 2},
     {"no_more_now_is_the_end", "an input that has no more now is taken to be at its end", 2},
     {"step_keeps_room", "what was kept for the judge's call is never given back", 843},
     {"first_outcome_does_not_win", "a later answer of an item is written too", 11},
     {"low_mark_ahead", "reading goes on behind items that have no result", 1},
     {"retry_runs_completed_items", "a retry forgets what is done", 5},
     {"paused_job_still_offers", "a paused job's calls go on", 10},
     {"room_forgotten_late", "a job goes on or is forgotten before its rooms have ended", 198},
     {"cancel_overwritten", "a cancelled job ends as finished", 21},
     {"second_failure_decides", "a failed call is made again while its second call flies", 142},
     {"merge_not_idempotent", "a merge that begins anew keeps what it had written", 146},
     {"merge_takes_first_line", "the first line of an item holds, not the last", 5}})};

} // namespace

std::span<const Mutant> mutants() {
  return table;
}

bool choose_mutant(std::string_view name) {
  const auto named = [name](const Mutant& mutant) { return mutant.name == name; };
  const auto mutant = std::find_if(table.begin(), table.end(), named);
  chosen_mutant = mutant == table.end() ? std::string_view{} : mutant->name;
  return mutant != table.end() || name.empty();
}

} // namespace gristmill::sim

// JOB MONEY: how much of a job's budget is left when this life of the coordinator begins, and the
// sentence for when it is used up. Invariant: what the journal cannot exclude to be spent counts as
// spent.
#pragma once

#include "actors/words/permits.hpp"
#include "actors/words/recovered_job.hpp"

#include <string>

namespace gristmill::jobs {

// `crashed`: sessions were open at the end, so calls may have been made that nobody recorded;
// `may_tell`: their workers may still say what became of them.
JobMoney money_of(const journal::RecoveredJob& job, bool crashed, bool may_tell);

std::string why_stopped(const BudgetStop& stop);

} // namespace gristmill::jobs

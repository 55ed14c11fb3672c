// What a job's budget of money begins with in this life, and the sentence when it is at its end.
// Private to the wiring. Invariant: what the journal cannot exclude to be spent counts as spent.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "actors/words/permits.hpp"

#include <string>

namespace gristmill::wiring {

// `crashed`: sessions were open at the end, so calls may have been made that nobody recorded;
// `may_tell`: their workers may still say what became of them.
JobMoney money_of(const journal::RecoveredJob& job, bool crashed, bool may_tell);

std::string why_stopped(const BudgetStop& stop);

} // namespace gristmill::wiring

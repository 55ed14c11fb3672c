// MODELS: which model answers when neither the command nor an item names one: the only one that the
// job's endpoints serve. Asked before the job begins, and only if an item may need it; a job keeps
// what it began with, so that a resumed one asks nothing. Invariant: no key and no part of one is
// in a sentence made here.
#pragma once

#include "protocol/job/spec.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli {

// The ids in the answer to GET /models.
Result<std::vector<std::string>> models_in(std::string_view answer);

// The only one of these, each perhaps listed by several endpoints; else a sentence that names some.
Result<std::string> only_model(const std::vector<std::string>& models, std::string_view where);

// Whether an item may come to the endpoint without a model of its own: of documents each does, of a
// batch file what its first line does is taken for all.
Result<bool> may_need_model(const JobSpec& spec);

// The model that the first good item names; empty = it names none.
Result<std::string> first_named_model(const JobSpec& spec);

// Asks each endpoint of the job, with its key; of whom it trusts besides the system, `ca_file`
// says. unavailable: all that might say it are away, loading or full.
Result<std::string> discovered_model(const JobSpec& spec, const std::string& ca_file);
// Asks again once a second while they are, for the job's patience; `tell` gets each new reason.
Result<std::string> awaited_model(const JobSpec& spec, const std::string& ca_file,
                                  const std::function<void(const std::string&)>& tell);

} // namespace gristmill::cli

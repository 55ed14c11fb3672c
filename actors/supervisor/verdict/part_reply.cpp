#include "actors/supervisor/verdict/part_reply.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/task/labels.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace gristmill::supervisor {
namespace {

// Its worker has judged the body, which is not here; what it read from it is looked at again.
void judge_stored(protocol::Outcome& outcome, const JobSpec& spec) {
  const std::vector<std::string>& labels = spec.shape.labels;
  const bool has_labels = info(spec.shape.task).has_labels;
  if (!has_labels || std::ranges::find(labels, outcome.stored.label) != labels.end()) return;
  outcome.cls = OutcomeClass::bad_result;
  outcome.code = "no_label";
  outcome.message = "expected one of the job's labels from the worker, got another";
  outcome.stored = {};
}

} // namespace

void judge_outcome(protocol::Outcome& outcome, const JobSpec& spec) {
  if (outcome.stored) return judge_stored(outcome, spec);
  const bool of_one = outcome.parts.size() == 1;
  if (of_one || outcome.cls != OutcomeClass::ok) openai::judge_body(outcome);
  if (of_one) openai::judge_label(spec, outcome);
}

protocol::Reply reply_to(const PartId& part, const protocol::Outcome& outcome,
                         const JobSpec& spec) {
  protocol::Reply reply = outcome;
  if (outcome.cls != OutcomeClass::ok) return reply;
  const auto answer =
      std::find_if(outcome.answers.begin(), outcome.answers.end(), [&](const auto& one) {
        return (one.part == part) != mutated("answer_to_wrong_part");
      });
  reply.cls = answer == outcome.answers.end() ? OutcomeClass::malformed : answer->cls;
  if (answer != outcome.answers.end()) reply.body = answer->body;
  openai::judge_body(reply);
  openai::judge_label(spec, reply);
  return reply;
}

bool is_answered(const PartId& part, const protocol::Outcome& outcome, const JobSpec& spec) {
  if (outcome.cls != OutcomeClass::ok || outcome.parts.size() == 1)
    return outcome.cls == OutcomeClass::ok;
  return reply_to(part, outcome, spec).cls == OutcomeClass::ok;
}

} // namespace gristmill::supervisor

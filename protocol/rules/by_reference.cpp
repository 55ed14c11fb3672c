#include "protocol/rules/by_reference.hpp"

namespace gristmill {

std::string why_by_value(const JobSpec& spec, bool has_cache) {
  if (spec.shape.models.size() > 1) return "several models answer each item (--model)";
  if (spec.shape.chunk_tokens > 0) return "its documents are divided (--chunk-tokens)";
  if (spec.shape.task == Task::embed && spec.policy.pack > 1)
    return "its calls carry several items (--pack)";
  if (spec.policy.dedupe) return "equal requests share an answer (--dedupe)";
  if (has_cache && !spec.policy.no_cache) return "its answers are kept for other jobs (--cache)";
  return {};
}

std::string coordinator_word_file() {
  return "coordinator";
}
std::string worker_word_file(SessionId session) {
  return "worker-" + to_string(session);
}
std::string answers_directory(JobId job) {
  return to_string(job);
}
std::string answers_file(JobId job, SessionId session) {
  return answers_directory(job) + "/" + to_string(session) + ".answers";
}

} // namespace gristmill

// CLUSTER CLIENT: the coordinator's HTTP API as plain calls. What the coordinator refuses comes
// back as the error that it gave, in its words. Invariant: nothing is asked twice that would happen
// twice; only questions are repeated.
#pragma once

#include "actors/journal/line_store.hpp"
#include "actors/wiring/questions.hpp"
#include "cli/cluster/http_client.hpp"
#include "protocol/job/output_form.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/usd.hpp"

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

// Of a command that waits: how long a coordinator may be away, as while it restarts.
inline constexpr auto restart_patience = std::chrono::minutes{5};

class ClusterClient {
public:
  using Json = nlohmann::ordered_json;
  ClusterClient(const std::string& server, const std::string& token) : http_{server, token} {}

  // How long a question may go unanswered, for instance while the coordinator restarts; the first
  // time that it does is said on standard error. 0 = not at all.
  void be_patient(std::chrono::seconds patience) { patience_ = patience; }

  struct Uploaded {
    std::string id, path; // path: as a job names it
  };
  Result<Uploaded> upload(const std::string& name, std::optional<std::uint64_t> bytes,
                          decltype(HttpCall::upload) source);
  Result<> discard(const std::string& upload); // by its id, unless a job has it
  Result<wiring::JobView> submit(const JobSpec& spec);
  // More inputs of an open job. Without a key they are known by their contents.
  struct Appended {
    std::uint64_t number = 0; // of the job's appends, from 1
    bool repeated = false;    // it was there before
    std::uint64_t inputs = 0;
    Json told;
  };
  Result<Appended> append(const std::string& job, const std::string& key,
                          const std::vector<InputSpec>& inputs);
  // The durable lines of items or of parts behind a place of which an earlier call said that it is
  // the next one; empty = from the beginning.
  struct Lines {
    std::string text, next;
  };
  Result<Lines> lines(const std::string& job, journal::LineKind kind, const std::string& from);
  // `what`: cancel, close, pause, retry?class=…
  Result<wiring::JobView> change(const std::string& job, const std::string& what);
  Result<wiring::JobView> resume(const std::string& job, Usd budget); // 0 = the one that it has
  Result<wiring::JobView> forget(const std::string& job); // with its result, at the coordinator
  Result<wiring::JobView> show(const std::string& job);
  Result<Json> drain(const std::string& worker); // its name or session; those that were told
  Result<Json> ask(const std::string& path);     // the answer as it came
  Result<Json> jobs();                           // {"jobs": […]}, all of them
  // Whether a result could be fetched to this place: lines go to a file, perhaps compressed, and
  // replace nothing but an earlier result.
  static Result<> check_output(const std::string& output);
  // Result and summary, each complete or not there; "-" = the result alone, to standard output. Of
  // what is there only an earlier result of the same job is replaced.
  Result<> download(const std::string& job, const std::string& output);

private:
  Result<HttpAnswer> patiently(const std::function<Result<HttpAnswer>()>& once);
  Result<HttpAnswer> question(const HttpCall& call);
  Result<HttpAnswer> order(const HttpCall& call);
  Result<> print_file(const std::string& path);
  Result<> download_file(const std::string& path, const std::string& output, OutputForm form);

  HttpClient http_;
  std::chrono::seconds patience_{0};
};

} // namespace gristmill::cli

// PLACEMENT: brings a job's inputs to where the coordinator can read them: nothing for those that
// are below its data root, else an upload of each file, or of many together; and its rank file in
// any case, which is the user's. What will not be used is taken back. Invariant: nothing is
// uploaded for a job that is wrong in itself.
#pragma once

#include "cli/cluster/client.hpp"
#include "cli/cluster/pack.hpp"
#include "cli/inputs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

class Placement {
public:
  // Why a job is not submitted.
  struct Refusal {
    std::string sentence;
    int exit_code;
  };

  Placement(ClusterClient& client, std::vector<std::string> names)
      : client_{client}, names_{std::move(names)} {}

  // Gives the specification its inputs. `output`: where the result will be on this machine, if it
  // will.
  std::optional<Refusal> in_place(JobSpec& spec);
  std::optional<Refusal> upload(JobSpec& spec, const std::string& output);

  // The same of inputs that are appended to a job that there is.
  std::optional<Refusal> in_place(std::vector<InputSpec>& inputs);
  std::optional<Refusal> upload(std::vector<InputSpec>& inputs);

  // The job has been submitted, or has not: uploads that it does not have go.
  void settle(bool submitted);

private:
  std::optional<Refusal> look_at(const JobSpec& spec, const std::vector<InputSpec>& found);
  std::optional<Refusal> upload_tokenizer(JobSpec& spec);
  Result<> upload_each(std::vector<InputSpec>& inputs);
  Result<PackList> upload_pack(const std::vector<InputSpec>& inputs); // of them, which outlive it
  Result<InputSpec> upload_together(const std::vector<InputSpec>& inputs);
  Result<std::string> upload_file(const std::string& path);
  Result<std::string> upload_from(const std::string& name, std::optional<std::uint64_t> bytes,
                                  decltype(HttpCall::upload) source);

  ClusterClient& client_;
  const std::vector<std::string> names_;
  InputFile standard_input_{nullptr, std::fclose}; // kept to be read twice; none: it is read once
  std::vector<std::string> uploaded_;              // their ids
  std::optional<std::string> tokenizer_;           // likewise
  bool together_ = false;
};

} // namespace gristmill::cli

// FILE SOURCE: a job's input files on disk. Files are opened when they are first read, and of all
// jobs together some stay open, so that neither a hundred thousand documents nor a thousand jobs
// that wait take a descriptor each. A compressed file is unpacked as far as it is read, into a file
// without a name, because what was read is read again at any place. An input may also be a piece of
// a file that holds many.
// Invariant: an input that is opened and is not what it was when the job began is an error; one
// that was only touched is what it was.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "coordinator/inputs/list.hpp"
#include "coordinator/inputs/open_inputs.hpp"
#include "coordinator/inputs/roots.hpp"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <vector>

namespace gristmill::coordinator {

// How much there is of an input that grows.
struct Growth {
  std::uint64_t bytes = 0; // that are durable
  bool ended = false;      // there will be no more
  std::string failure{};   // why nobody knows whether there will be; a sentence
};

struct InputAccess {
  InputRoots roots;
  std::shared_ptr<OpenInputs> held; // shared by all sources of a process; none = its own
  // Of the one at this path, on any thread; none: it is what it is now.
  std::function<Growth(const std::string& path)> growth{};
  std::string shared{}; // a directory that workers may see, absolute and without links
};

class FileSource final : public intake::ByteSource {
public:
  // An error names the first input that cannot be read, and why; of a list, once it is read. What
  // is unpacked, and what else grows with the items, is kept in `scratch_directory`.
  // unavailable: there is no descriptor left, here and in read(); it may go at any other time.
  static Result<std::unique_ptr<intake::ByteSource>> open(const std::vector<InputSpec>& inputs,
                                                          std::string scratch_directory,
                                                          InputAccess access = {});
  ~FileSource() override;

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override;
  std::uint32_t input_count() const override {
    return inputs_.count() + static_cast<std::uint32_t>(appended_.size());
  }
  void append(const std::vector<InputSpec>& inputs) override {
    appended_.insert(appended_.end(), inputs.begin(), inputs.end());
  }
  void close() override { is_closed_ = true; }
  bool is_closed() const override { return is_closed_; }
  bool grows(std::uint32_t input) override;
  Result<std::string> name_of(std::uint32_t input) override;
  SharedPlace shared_place_of(std::uint32_t input) override;
  std::unique_ptr<intake::ScratchPages> scratch() override;

private:
  using Opened = std::shared_ptr<OpenInput>;
  struct Known {
    std::uint32_t input = 0;
    std::weak_ptr<OpenInput> open; // gone: another job needed the descriptor
  };
  // The file of this input, if it is still what it was when the job began.
  Result<OpenedFile> open_checked(std::uint32_t input, const InputSpec& spec);
  FileSource(InputList inputs, std::string scratch_directory, InputAccess access)
      : inputs_{std::move(inputs)},
        scratch_directory_{std::move(scratch_directory)}, access_{std::move(access)} {}
  Result<Opened> opened(std::uint32_t input);
  Result<Opened> open_anew(std::uint32_t input);
  std::string below_shared(const std::string& path) const;
  void let_go(std::list<Known>::iterator known);
  static Result<std::size_t> read_input(const OpenInput& open, std::uint64_t offset,
                                        std::span<char> into);
  Result<std::size_t> read_growing(const OpenInput& open, std::uint64_t offset,
                                   std::span<char> into);
  Result<> find_packing(OpenInput& open, std::string_view name);
  static Result<> unpack_to(OpenInput& open, std::uint64_t end);

  // Valid until another is asked for.
  Result<const InputSpec*> spec_of(std::uint32_t input);

  InputList inputs_;
  std::vector<InputSpec> appended_; // behind them
  bool is_closed_ = false;
  std::string scratch_directory_;
  InputAccess access_;
  std::list<Known> known_; // the most recently used first
  // Inputs that were only touched, and the time of that: their content has been compared.
  std::map<std::uint32_t, std::uint64_t> touched_;
};

} // namespace gristmill::coordinator

// TABLE OUTPUT: where a table goes, standard output or a file that appears when it is whole.
// Invariant: a file that is not empty is never replaced: nobody can tell an earlier table from one
// that its user has worked on.
#pragma once

#include "cli/own_files.hpp"
#include "coordinator/disk/file_descriptor.hpp"
#include "coordinator/result/part_file.hpp"
#include "protocol/result.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace gristmill::cli::flat {

class TableOutput {
public:
  // `output` may be "-"; `result` is what the table is made of; `beginning` is how it begins.
  static Result<std::unique_ptr<TableOutput>>
  open(const std::string& output, const std::string& result, std::string_view beginning);

  Result<> append(std::string_view bytes);
  Result<> finish();

private:
  TableOutput() = default;
  Result<> print();

  std::unique_ptr<coordinator::PartFile> file_; // none: standard output
  coordinator::FileDescriptor stdout_;
  std::string gathered_; // for standard output
};

} // namespace gristmill::cli::flat

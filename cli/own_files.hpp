// OWN FILES: what a command writes, replaces or removes on this machine: OUTPUT and what lies
// beside it, and under `run` the state directory and the spool of standard input. Invariant: none
// of it is an input of the job, and nothing is replaced or removed that does not carry our mark.
#pragma once

#include "protocol/job/spec.hpp"

#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace gristmill::cli {

class OwnFiles {
public:
  // `output` may be "-". `state` empty: it is not on this machine.
  OwnFiles(std::string output, std::string state);
  // Of `export`: a table, which has no mark, so that only an empty file is replaced by one; its
  // part, which a kill may have left, begins so.
  static OwnFiles of_table(const std::string& output, std::string_view beginning);

  // Refused (usage), naming the first input that is one of these files: by its path, by device and
  // inode, also through a link, or as the file behind standard input ("-").
  Result<> refuse_inputs(const std::vector<InputSpec>& inputs) const;
  // The same of files that options name; those that are empty are left out.
  struct NamedFile {
    std::string option, path;
  };
  Result<> refuse_options(const std::vector<NamedFile>& files) const;
  // Refused while OUTPUT lies in a directory, or matches a pattern, that is an input: whoever names
  // it so may mean it as one.
  Result<> refuse_output_among(const std::vector<std::string>& names) const;
  // Refused (usage), naming a file that stands in the place of one of these and is not ours.
  Result<> refuse_foreign() const;

  // Everything that an earlier run left, unless somebody is at work there. The state directory
  // itself stays, and its lock.
  Result<> remove() const;

private:
  struct File {
    std::string path;
    enum class Kind : std::uint8_t { lines, array, ids, summary, spool, table } kind;
  };
  using FileId = std::pair<dev_t, ino_t>; // who a file is, whatever it is called
  struct Ours {
    std::map<FileId, std::string> ids;
    std::map<std::string, std::string> paths; // also of what is not there yet
  };
  Ours ours() const;
  static const std::string* found_in(const Ours& ours, const std::string& path);
  OwnFiles() = default;
  bool carries_mark(const File& file) const;
  Result<> remove_state() const;
  std::vector<std::string> places() const; // all that is there, with the state directory's files

  std::string output_, state_;
  std::string beginning_; // of a table
  std::vector<File> files_;
};

} // namespace gristmill::cli

// SEGMENT WRITER: the segments of all jobs as they grow (segment_files.hpp), and beside them
//
//   STATE/<directory of the job>/results.durable   {"segments":[{"file":…,"bytes":…},…]}
//
// A group is made durable by an fdatasync of each file that it touched, or, when it touched more
// than a few, by one sync of their whole file system (decision 0013). A segment is created by one
// life of the coordinator and never written by another, so that a tail which nobody promised can be
// cut without asking. The file results.durable is for readers of a running job; what is true stands
// in the journal. Invariant: between two groups, a segment ends where the journal says.
#pragma once

#include "actors/journal/line_store.hpp"
#include "coordinator/disk/file_io.hpp"
#include "coordinator/journal/segment_files.hpp"

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

// What the journal knows about the segments of a job, by number.
struct JobSegments {
  JobId job;
  std::string directory;
  std::map<std::uint32_t, StoredSegment> results, parts;
  std::map<std::uint32_t, StoredSegment>& of(LineKind kind) {
    return kind == LineKind::results ? results : parts;
  }
};

class SegmentWriter {
public:
  SegmentWriter(std::string state_directory, std::uint64_t segment_bytes, DiskCalls calls,
                std::shared_ptr<SharedAnswers> bodies = nullptr);

  // Before everything else: cuts what the journal does not know, and fails if the disk has less.
  Result<> recover(const std::vector<JobSegments>& jobs);
  void add_job(JobId job, const std::string& directory); // again is harmless
  void end_job(JobId job);                               // closes its file
  // Its files are nobody's from now on. Returned is the directory that somebody may remove at
  // leisure; "" = there is none. Nothing that fails here makes them anybody's again.
  std::string forget_job(JobId job);
  // Of jobs that earlier lives forgot; the same.
  std::vector<std::string> take_forgotten() { return std::exchange(forgotten_, {}); }

  // A group: append for each job, sync, then either keep or take_back.
  // `whole_bytes`: of the lines with their bodies; 0 = they stand as they are.
  Result<SegmentRange> append(JobId job, LineKind kind, const std::vector<std::string_view>& lines,
                              std::uint64_t whole_bytes = 0);
  Result<> sync();
  void keep();
  Result<> take_back();

  bool unpublished() const { return !unpublished_.empty(); }
  // results.durable of jobs that have grown since, of so many at most.
  void publish(std::size_t most = std::numeric_limits<std::size_t>::max());

  // Any thread. Its lines of that kind.
  Result<std::shared_ptr<SegmentFiles>> durable(JobId job, LineKind kind) const;
  // Any thread. Of a segment of the job, whether it is there or not; "" = there is no such job.
  std::string path_of(JobId job, LineKind kind, std::uint32_t number) const;

private:
  struct Stream {
    LineKind kind = LineKind::results;
    std::vector<StoredSegment> durable = {};
    FileDescriptor file = {}; // the segment that grows; none = the next line begins one
    std::string path = {};
    std::uint32_t number = 0;
    std::uint64_t kept = 0, written = 0, whole = 0; // whole: bytes of the group
    bool touched = false;                           // by the group
  };
  struct Job {
    std::string directory;
    Stream results{LineKind::results}, parts{LineKind::parts};
    bool unpublished = false; // stands in unpublished_
    Stream& of(LineKind kind) { return kind == LineKind::results ? results : parts; }
  };
  struct Touched {
    JobId job;
    Stream* stream;
  };

  std::string place_of(const std::string& directory) const;
  Result<> begin_segment(const std::string& directory, Stream& stream);
  Result<> recover(Stream& stream, const std::string& directory,
                   const std::map<std::uint32_t, StoredSegment>& known);
  Result<> remove_unknown(const std::string& directory);
  Result<> find_forgotten(const std::set<std::string>& known);
  Result<> make_job_directory(const std::string& path);

  std::string state_directory_;
  std::uint64_t segment_bytes_;
  DiskCalls calls_;
  std::shared_ptr<SharedAnswers> bodies_; // nullptr: no directory is shared
  std::map<JobId, Job> jobs_;
  std::map<std::pair<std::string, LineKind>, std::uint32_t> last_number_; // by directory
  std::vector<Touched> touched_;                                          // by the group
  std::set<std::string> new_names_; // directories with names that are not synced yet
  FileDescriptor file_system_;      // none: its sync does not tell of all that fails
  std::deque<JobId> unpublished_;
  std::vector<std::string> forgotten_;
  mutable std::mutex mutex_; // over jobs_ as a map and every Stream::durable
};

} // namespace gristmill::coordinator

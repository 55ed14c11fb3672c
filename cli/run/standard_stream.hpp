// STANDARD STREAM: standard input that goes on while its job runs. A thread copies what comes to
// the spool, makes it durable, and only then tells the job that there is more; so a line is called
// for only when no kill can lose it. PLACE.open beside the spool says that its end has not come:
// the next run of the command finishes what there is and goes on behind it. Invariant: growth()
// says nothing that is not durable.
#pragma once

#include "coordinator/disk/file_io.hpp"
#include "coordinator/inputs/file_source.hpp"

#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace gristmill::cli {

class StandardStream {
public:
  // `place`: of the spool, which has `bytes` bytes that are durable; `rest` came behind them.
  StandardStream(std::string place, std::uint64_t bytes, std::string rest,
                 coordinator::DiskCalls calls = coordinator::real_disk());
  ~StandardStream() { stop(); }

  // The spool is in its place. `grew` is called on a thread of its own.
  Result<> start(std::function<void()> grew);
  void stop();                        // reads no more, and calls nobody
  coordinator::Growth growth() const; // any thread

  // Whether the input of an earlier run had not come to its end.
  static bool is_open(const std::string& place);
  static Result<> mark_open(const std::string& place);
  static Result<> mark_ended(const std::string& place);
  static std::string mark_of(const std::string& place) { return place + ".open"; }

private:
  void run();
  bool wait_for_input(int at_most_ms) const; // false: there is none, or it is to be stopped
  Result<std::size_t> read_piece(std::string& piece) const;
  Result<> write(std::string_view piece);
  bool keep_when_there_is_room(std::string_view piece); // false: it is not kept, and told so
  void tell(std::uint64_t more, bool ended, std::string failure = {});

  const std::string place_;
  const coordinator::DiskCalls calls_;
  std::string rest_;
  coordinator::FileDescriptor spool_, stop_; // stop_: an event
  std::function<void()> grew_;
  mutable std::mutex mutex_;
  coordinator::Growth growth_; // with mutex_
  std::thread thread_;
};

} // namespace gristmill::cli

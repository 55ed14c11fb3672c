// STREAMED ANSWERS: the HTTP server's answers that come piece by piece. While one has nothing to
// send its connection is suspended. Invariant: a connection that is suspended here is in `asleep_`,
// so that whoever stops the server can give each back to the library.
#pragma once

#include "coordinator/http/server/body_source.hpp"

#include <map>
#include <memory>
#include <microhttpd.h>
#include <mutex>
#include <set>

namespace gristmill::coordinator {

class StreamedAnswers : public std::enable_shared_from_this<StreamedAnswers> {
public:
  using Stream = std::shared_ptr<BodySource>;

  // What the library is to send; nullptr: it has no memory for it.
  MHD_Response* begin(MHD_Connection* connection, const Stream& stream);
  void ended(const Stream& stream); // it is sent, or its client is gone
  void finish_all();                // also those that begin from now on
  void stop();                      // wakes all; no connection is suspended any more

private:
  ssize_t read(MHD_Connection* connection, const Stream& stream, char* to, std::size_t most);
  void wake(const Stream& stream);

  std::mutex mutex_;
  bool finishing_ = false, stopped_ = false;
  std::set<Stream> open_;
  std::map<Stream, MHD_Connection*> asleep_;
};

} // namespace gristmill::coordinator

// The server as a whole: the listening socket, the desk and the event loops around it.
//
// Invariant: once constructed it accepts connections, so the ready line may be printed; it serves
// them from `run` until `stop`, after which the call log is complete on disk.
#pragma once

#include "desk.hpp"
#include "loop.hpp"
#include "options.hpp"

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::simllm {

class Server {
public:
  // Throws std::invalid_argument for an address that cannot be read, std::system_error for one that
  // cannot be had.
  explicit Server(const Options& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url() const; // with the port that was really taken
  void start();
  void stop();

private:
  int listener_ = -1;
  std::string host_;
  Desk desk_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
};

// Raises the soft limit of open files to the hard one.
void raise_descriptor_limit();

} // namespace gristmill::simllm

// ERROR READER: collects from a JSON value what its members say of an error, the best of each.
// Invariant: of two messages the one with the more telling name counts, and what is nested is more
// exact than what is around it.
#pragma once

#include "protocol/openai/errors/body.hpp"

namespace gristmill::openai {

struct ErrorMember;

class ErrorReader {
public:
  // `rank`: what a mere text is worth as a message.
  void read(json::Value value, int rank, int level = 0);
  ErrorBody take();

private:
  void offer(std::string text, int rank);
  void read_list(json::Value list, int rank, int level);
  void read_object(json::Value object, int level);
  void read_member(const ErrorMember& row, json::Value value, int level);
  void read_code(json::Value value, int level);
  void read_type(std::string type);
  void read_status(json::Value value);
  void note_status(std::string_view text);
  void read_details(json::Value value, int level);
  void read_wait(json::Value value);
  void read_place(json::Value value);
  void add_word(std::string word);
  void read_places(json::Value places, int level);
  void adopt(ErrorBody other);

  ErrorBody error_;
  std::string place_; // of the request that the message is about
  int rank_ = -1;
};

} // namespace gristmill::openai

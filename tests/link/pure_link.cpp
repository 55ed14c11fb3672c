// Links the whole pure library and nothing behind it. That it builds is the proof; that it runs
// shows that no static object of it needs more.
int main() {
  return 0;
}

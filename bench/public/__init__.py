"""The public leaderboard: rows that anybody may submit, dated, never edited, ranked among those that they may stand beside."""
